"""Keeps ConfigMap injector-mesh in every namespace that needs it, and in no other.

A pod's start waits for it (the kubelet retries the mount with back-off), so one that is missing goes before one that is
out of date. However many namespaces there are, the API server sees a bounded rate of writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from injector.controller.objects import FIELD_MANAGER
from injector.controller.trust import content
from injector.controller.trust.content import NAME, ROOTS_KEY, Copy
from injector.kube.errors import Invalid, KubeError, NotFound
from injector.kube.informer import Informer, Selection
from injector.kube.resources import CONFIG_MAPS
from injector.pace import Backoff, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from injector.controller.census import Census
    from injector.controller.metrics import ControllerMetrics
    from injector.kube.client import KubeClient
    from injector.kube.informer import Key

# New roots are in 1,000 namespaces within 20 s. A small API server takes some 500 writes a second.
WRITES_PER_SECOND = 50.0
WRITES_BURST = 50.0
# So many requests at once keep that rate up to 80 ms for each.
WORKERS = 4
# Who keeps changing one namespace's ConfigMap back is answered ten times at once, then six times a minute.
REPAIRS_PER_SECOND = 0.1
REPAIRS_BURST = 10.0
# A namespace that is being deleted, or has no room for one more ConfigMap, refuses for as long as that lasts.
RETRY_BASE_SECONDS = 0.5
RETRY_CAP_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Distribution:
    """Run `run` while leading; make a new one for each term. Nothing is written before `publish` and `describe`."""

    def __init__(self, kube: KubeClient, census: Census, metrics: ControllerMetrics) -> None:
        self._kube = kube
        self._census = census
        self._metrics = metrics
        self._data: dict[str, str] = {}
        self._missing: dict[str, None] = {}
        self._outdated: dict[str, None] = {}
        self._some = asyncio.Event()
        self._pace = TokenBucket(WRITES_PER_SECOND, WRITES_BURST)
        self._repairs: dict[str, TokenBucket] = {}
        self._failures: dict[str, Backoff] = {}
        self._copies: Informer[Copy] = Informer(
            kube, Selection.one(CONFIG_MAPS, name=NAME), content.read_copy, self._on_copy
        )
        census.listeners.append(self._judge)

    def publish(self, roots: str) -> None:
        """These are the roots from now on (PEM)."""
        self._say(content.ROOTS_KEY, roots)

    def describe(self, mesh: str) -> None:
        """These are the facts from now on (`mesh.json`)."""
        self._say(content.MESH_KEY, mesh)

    def everywhere(self, roots: str) -> bool:
        """Whether each ConfigMap that is there has exactly these roots. One that is missing keeps nobody's old roots: a
        pod that starts waits for it."""
        if not (self._copies.synced and self._census.synced.is_set()):
            return False
        return all(
            copy.data.get(ROOTS_KEY) == roots for key, copy in self._copies.items.items() if self._census.needs(key[0])
        )

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copies.run())
                await self._copies.wait_synced()
                await self._census.synced.wait()
                self._judge_all()
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            self._census.listeners.remove(self._judge)

    def _say(self, key: str, text: str) -> None:
        if self._data.get(key) != text:
            self._data = self._data | {key: text}
            self._judge_all()

    def _on_copy(self, key: Key, _old: Copy | None, _new: Copy | None) -> None:
        self._judge(key[0])

    def _judge_all(self) -> None:
        for name in {*self._census.needing(), *(key[0] for key in self._copies.items)}:
            self._judge(name)

    def _judge(self, namespace: str) -> None:
        """Put the namespace in the line that it belongs to, if in any."""
        self._missing.pop(namespace, None)
        self._outdated.pop(namespace, None)
        if self._complete and self._census.needs(namespace) and self._copy(namespace) is None:
            self._missing[namespace] = None
        elif self._wrong(namespace):
            self._outdated[namespace] = None
        self._metrics.trust_pending.set(len(self._missing) + len(self._outdated))
        if self._missing or self._outdated:
            self._some.set()

    @property
    def _complete(self) -> bool:
        return all(self._data.get(key) for key in (content.ROOTS_KEY, content.MESH_KEY))

    def _copy(self, namespace: str) -> Copy | None:
        return self._copies.items.get((namespace, NAME))

    def _wrong(self, namespace: str) -> bool:
        """Whether the ConfigMap that is there should say something else, or not be."""
        copy = self._copy(namespace)
        if copy is None:
            return False
        if not self._census.needs(namespace):
            return copy.ours and self._census.synced.is_set() and self._census.knows(namespace)
        return self._complete and not (copy.ours and _says(copy.data, self._data))

    async def _work(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            while (namespace := self._next()) is None:
                self._some.clear()
                await self._some.wait()
            if (wait := self._turn(namespace, clock())) > 0:
                self._later(namespace, wait)
                continue
            await asyncio.sleep(self._pace.reserve(clock(), float("inf")) or 0.0)
            try:
                await self._write(namespace)
            except KubeError as error:
                self._metrics.trust_failures.inc()
                failures = self._failures.setdefault(namespace, Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS))
                delay = failures.next_delay()
                log.warning("cannot write the roots", namespace=namespace, error=str(error), retry_in=delay)
                self._later(namespace, delay)
            else:
                self._failures.pop(namespace, None)

    def _next(self) -> str | None:
        line = self._missing or self._outdated
        if not line:
            return None
        namespace = next(iter(line))
        del line[namespace]
        return namespace

    def _turn(self, namespace: str, now: float) -> float:
        """How long this namespace is left alone because it was written too often; 0 for its turn."""
        for name in [name for name, bucket in self._repairs.items() if bucket.full(now)]:
            del self._repairs[name]
        bucket = self._repairs.setdefault(namespace, TokenBucket(REPAIRS_PER_SECOND, REPAIRS_BURST, updated=now))
        if bucket.take(now):
            return 0.0
        log.error("somebody else keeps changing the ConfigMap", namespace=namespace, name=NAME)
        return bucket.wait_for_one(now)

    def _later(self, namespace: str, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._judge, namespace)

    async def _write(self, namespace: str) -> None:
        if self._census.needs(namespace):
            try:
                await self._apply(namespace)
            except Invalid as error:
                # Somebody has made it immutable, with whatever is in it: that must hold up no rotation.
                log.warning("replacing a ConfigMap that cannot be changed", namespace=namespace, error=str(error))
                await self._delete(namespace)
                await self._apply(namespace)
            return
        await self._delete(namespace)

    async def _apply(self, namespace: str) -> None:
        body = content.config_map(self._data)
        await self._kube.apply(CONFIG_MAPS, body, field_manager=FIELD_MANAGER, namespace=namespace)

    async def _delete(self, namespace: str) -> None:
        with contextlib.suppress(NotFound):
            await self._kube.delete(CONFIG_MAPS, name=NAME, namespace=namespace)


def _says(data: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(data.get(key) == text for key, text in wanted.items())
