"""Finds opted-in pods that run without a proxy: an Event on each, and a gauge by reason, until they are gone.

Memory follows the number of pods only by a name and a verdict each. A pod is judged whole when the watch shows it; when
its namespace's word changes, the namespace's pods are listed again and judged anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from injector.controller.census import member_of
from injector.inject.model import Namespace
from injector.inject.names import PREFIX
from injector.inject.unmeshed import Unmeshed, UnmeshedReason, unmeshed
from injector.kube.errors import KubeError
from injector.kube.events import Note, Regarding
from injector.kube.informer import Informer, Selection
from injector.kube.resources import NAMESPACES, PODS
from injector.pace import Backoff

if TYPE_CHECKING:
    from injector.controller.census import Census, Member
    from injector.controller.metrics import ControllerMetrics
    from injector.inject.installation import Installation
    from injector.kube.client import KubeClient, Object
    from injector.kube.events import EventRecorder
    from injector.kube.informer import Key

REASON = "InjectorNotInjected"
# Events live for an hour (kube-apiserver --event-ttl): what is still true is said again before that.
REMIND_SECONDS = 50 * 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PodRecord:
    """What is kept of a pod: which version of it was judged, what is amiss, None for nothing, and what it is in the
    mesh."""

    uid: str
    version: str
    amiss: Unmeshed | None
    member: Member | None = None


class Finder:
    """The leader's watch for pods that the webhook never saw. Run `run` while leading; make a new one for each term.

    All namespaces and pods are watched for this already, so it also keeps the `census`.
    """

    def __init__(
        self,
        kube: KubeClient,
        installation: Installation,
        recorder: EventRecorder,
        metrics: ControllerMetrics,
        census: Census,
    ) -> None:
        self._kube = kube
        self._installation = installation
        self._recorder = recorder
        self._metrics = metrics
        self._census = census
        self._amiss: Counter[UnmeshedReason] = Counter()
        self._to_judge: dict[str, None] = {}
        self._something = asyncio.Event()
        self._namespaces = Informer(
            kube, Selection(NAMESPACES, metadata_only=True), project_namespace, self._on_namespace
        )
        self._pods = Informer(kube, Selection(PODS), self._judge, self._on_pod)

    async def run(self) -> None:
        """Until cancelled."""
        self._show()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._namespaces.run())
            # Pods are judged by their namespace, so the namespaces come first.
            await self._namespaces.wait_synced()
            group.create_task(self._pods.run())
            group.create_task(self._remind())
            await self._pods.wait_synced()
            self._census.synced.set()
            await self._judge_again()

    def _judge(self, pod: Object) -> PodRecord:
        metadata = pod["metadata"]
        name = metadata["namespace"]
        namespace = self._namespaces.items.get(("", name)) or Namespace(name)
        amiss = unmeshed(pod, namespace, self._installation)
        return PodRecord(metadata["uid"], metadata["resourceVersion"], amiss, member_of(pod))

    def _on_pod(self, key: Key, old: PodRecord | None, new: PodRecord | None) -> None:
        self._census.put_pod(key, new.member if new else None)
        before = _note(key, old)
        after = _note(key, new)
        if before == after:
            return
        if old is not None and old.amiss is not None and before is not None:
            self._amiss[old.amiss.reason] -= 1
            self._recorder.withdraw(before)
        if new is not None and new.amiss is not None and after is not None:
            self._amiss[new.amiss.reason] += 1
            self._recorder.note(after)
            log.warning("pod runs without a proxy", namespace=key[0], name=key[1], reason=new.amiss.reason.value)
        self._show()

    def _show(self) -> None:
        for reason in UnmeshedReason:
            self._metrics.unmeshed.labels(reason.value).set(self._amiss[reason])

    def _on_namespace(self, key: Key, _old: Namespace | None, new: Namespace | None) -> None:
        self._census.put_namespace(key[1], new)
        if new is not None and self._pods.synced:
            self._to_judge[key[1]] = None
            self._something.set()

    async def _judge_again(self) -> None:
        """List and judge the pods of namespaces whose word has changed."""
        backoff = Backoff(base=0.2, cap=15.0)
        while True:
            self._something.clear()
            while self._to_judge:
                name = next(iter(self._to_judge))
                try:
                    await self._judge_all_of(name)
                    self._to_judge.pop(name, None)
                    backoff.reset()
                except KubeError as error:
                    log.warning("cannot list a namespace's pods", namespace=name, error=str(error))
                    await asyncio.sleep(backoff.next_delay())
            await self._something.wait()

    async def _judge_all_of(self, namespace: str) -> None:
        if not any(key[0] == namespace for key in self._pods.items):
            return
        async for pod in self._kube.list(PODS, namespace=namespace):
            key = (namespace, pod["metadata"]["name"])
            known = self._pods.items.get(key)
            # Another version is one that the watch has judged already, by the namespace's new word, or is about to.
            if known is not None and known.version == pod["metadata"]["resourceVersion"]:
                self._pods.put(key, self._judge(pod))

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(REMIND_SECONDS)
            for key, record in self._pods.items.items():
                if (note := _note(key, record)) is not None:
                    self._recorder.note(note)


def project_namespace(item: Object) -> Namespace | None:
    """Of a namespace: its labels and our annotations. One that is being deleted is as good as gone: nothing new can be
    made in it."""
    metadata = item["metadata"]
    if metadata.get("deletionTimestamp"):
        return None
    annotations = metadata.get("annotations") or {}
    ours = {key: value for key, value in annotations.items() if key.startswith(PREFIX)}
    return Namespace(metadata["name"], metadata.get("labels") or {}, ours)


def _note(key: Key, record: PodRecord | None) -> Note | None:
    if record is None or record.amiss is None:
        return None
    return Note(Regarding("v1", "Pod", key[0], key[1], record.uid), REASON, record.amiss.message)
