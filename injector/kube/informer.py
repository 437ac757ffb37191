"""A local copy of a collection, kept by list and watch.

The copy is of projections, not of objects: what the owner needs and nothing else stays in memory. It may lag behind
the API server by a watch's delay, and by as long as the API server cannot be reached; it never mixes two histories.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from injector.kube.errors import Gone, KubeError
from injector.pace import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.kube.client import KubeClient, Object
    from injector.kube.resources import Resource

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace ("" for kinds without one) and name."""

# A first retry within 200 ms finds an API server that only dropped the connection; 15 s is as long as anybody here may
# stay blind after an outage, because expired or deleted certificates are to be repaired within a minute.
RETRY_BASE_SECONDS = 0.2
RETRY_CAP_SECONDS = 15.0
# A stream that ends sooner and says nothing is as good as an error, and not to become a busy loop.
SHORT_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to list and watch."""

    resource: Resource
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False

    @classmethod
    def one(cls, resource: Resource, *, name: str, namespace: str | None = None) -> Selection:
        """A single object by name: the form of list and watch that RBAC's resourceNames can allow."""
        return cls(resource, namespace=namespace, field_selector=f"metadata.name={name}")


class Informer(Generic[T]):
    """Runs list and watch for ever and keeps `items`, the projections by (namespace, name).

    `project` turns an object into what is kept, or None to keep nothing. `on_change(key, old, new)` is called for every
    difference, in the order of events; None stands for "not there". It must not block and should not raise.
    `relist_seconds`: for a collection of a few objects on which much depends, list again this often, whatever the watch
    believes.
    """

    def __init__(
        self,
        kube: KubeClient,
        selection: Selection,
        project: Callable[[Object], T | None],
        on_change: Callable[[Key, T | None, T | None], None] | None = None,
        relist_seconds: float | None = None,
    ) -> None:
        self._kube = kube
        self._selection = selection
        self._project = project
        self._on_change = on_change
        self._relist_seconds = relist_seconds
        self._resource_version = ""
        self._backoff = Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        self._synced = asyncio.Event()
        self.items: dict[Key, T] = {}
        self.heard_at = 0.0
        """When the API server last said anything of the collection (seconds since 1970), if only a bookmark."""

    @property
    def synced(self) -> bool:
        """Whether a whole list has been seen. It stays true in an outage: an old answer is better than none."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Return once the first whole list is in `items`."""
        await self._synced.wait()

    async def run(self) -> None:
        """List, watch, and begin again where it broke, until cancelled."""
        while True:
            try:
                if not self._resource_version:
                    await self._list()
                async with asyncio.timeout(self._relist_seconds):
                    await self._watch()
            except TimeoutError:
                self._resource_version = ""
            except Gone:
                # Our place in history is forgotten: only a new list can say what happened since.
                self._resource_version = ""
            except KubeError as error:
                if error.status == 400:
                    self._resource_version = ""  # a restored etcd may call our resourceVersion nonsense
                delay = max(self._backoff.next_delay(), error.retry_after or 0.0)
                log.warning("watch interrupted", kind=self._selection.resource.kind, error=str(error), retry_in=delay)
                await asyncio.sleep(delay)

    async def _list(self) -> None:
        chosen = self._selection
        fresh: dict[Key, T] = {}
        pages = self._kube.pages(
            chosen.resource,
            namespace=chosen.namespace,
            label_selector=chosen.label_selector,
            field_selector=chosen.field_selector,
            metadata_only=chosen.metadata_only,
        )
        version = ""
        async for objects, listed_at in pages:
            version = listed_at
            for item in objects:
                if (kept := self._project(item)) is not None:
                    fresh[_key(item)] = kept
        self._replace(fresh)
        self._resource_version = version  # only now: half a list is no place to watch from
        self.heard_at = time.time()
        self._synced.set()

    def _replace(self, fresh: dict[Key, T]) -> None:
        old = dict(self.items)
        for key in old.keys() - fresh.keys():
            self.put(key, None)
        for key, kept in fresh.items():
            self.put(key, kept)

    async def _watch(self) -> None:
        """Follow one stream to its end."""
        chosen = self._selection
        stream = self._kube.watch(
            chosen.resource,
            resource_version=self._resource_version,
            namespace=chosen.namespace,
            label_selector=chosen.label_selector,
            field_selector=chosen.field_selector,
            metadata_only=chosen.metadata_only,
        )
        clock = asyncio.get_running_loop().time
        began, said_anything = clock(), False
        async with contextlib.aclosing(stream) as events:
            async for kind, item in events:
                said_anything = True
                self.heard_at = time.time()
                self._backoff.reset()
                if kind in ("ADDED", "MODIFIED"):
                    self.put(_key(item), self._project(item))
                elif kind == "DELETED":
                    self.put(_key(item), None)
                self._resource_version = item["metadata"]["resourceVersion"]
        if not said_anything and clock() - began < SHORT_SECONDS:
            await asyncio.sleep(self._backoff.next_delay())

    def put(self, key: Key, new: T | None) -> None:
        """Keep this projection for `key`. For owners who judge an object anew; the watch itself calls it as well."""
        old = self.items.get(key)
        if old == new:
            return
        if new is None:
            del self.items[key]
        else:
            self.items[key] = new
        if self._on_change is not None:
            self._on_change(key, old, new)


def _key(item: Object) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
