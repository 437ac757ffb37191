"""What the webhook knows of the cluster: namespaces and owners, kept by metadata watches, asked for once when missing.

A watch is behind by milliseconds, an API outage by more, and a pod can be reviewed before the watch has told of its
ReplicaSet. So a miss is read directly: one request for everybody who waits for the same thing, bounded in time and in
rate, and remembered for a moment. What cannot be learned in time is an error, and `failurePolicy` decides.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from injector.inject.model import Namespace, Workload
from injector.inject.names import PREFIX
from injector.kube.errors import KubeError, NotFound
from injector.kube.informer import Informer, Selection
from injector.kube.resources import JOBS, NAMESPACES, REPLICA_SETS, Resource
from injector.pace import TokenBucket
from injector.webhook.handler import Missing, NamespaceKey, OwnerKey

if TYPE_CHECKING:
    from injector.kube.client import KubeClient, Object

# The API server gives a review 5 s; a read that takes longer than this leaves no time to answer, and a second
# (namespace, then owner) must fit as well.
READ_SECONDS = 2.0
# Until the watch has certainly caught up with what a read has seen.
REMEMBERED_SECONDS = 5.0
# Every source of reviews may cause this many reads: a rollout's worth at once. Reviews can be forged by anybody who can
# reach the port, and are not to become a flood against the API server.
READS_PER_SECOND = 50.0
READS_BURST = 200.0
# A metadata read is a few milliseconds: eight at once are 2,000 a second, more than all sources are granted.
READS_AT_ONCE = 8

_OWNER_RESOURCES: dict[str, Resource] = {"ReplicaSet": REPLICA_SETS, "Job": JOBS}


class Unavailable(Exception):  # noqa: N818 - a condition, read as such in an except clause
    """Something the answer depends on could not be learned in time."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A ReplicaSet or Job and what controls it; None where it stands by itself."""

    uid: str
    workload: Workload | None


def project_namespace(item: Object) -> Namespace:
    """Of a namespace: its labels (Pod Security levels are among them) and our annotations."""
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    ours = {key: value for key, value in annotations.items() if key.startswith(PREFIX)}
    return Namespace(metadata["name"], metadata.get("labels") or {}, ours)


def project_owner(item: Object) -> Owner:
    """Of a ReplicaSet or Job: who it is, and its controlling Deployment, CronJob, or somebody's own kind."""
    metadata = item["metadata"]
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            return Owner(metadata["uid"], Workload(reference["kind"], reference["name"]))
    return Owner(metadata["uid"], None)


class ClusterDirectory:
    """The `Directory` of a running webhook. `run` keeps it, `fetch` fills a gap."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._namespaces = Informer(kube, Selection(NAMESPACES, metadata_only=True), project_namespace)
        self._owners = {
            kind: Informer(kube, Selection(resource, metadata_only=True), project_owner)
            for kind, resource in _OWNER_RESOURCES.items()
        }
        self._read: dict[NamespaceKey | OwnerKey, tuple[float, Namespace | Workload | None]] = {}
        self._reading: dict[NamespaceKey | OwnerKey, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(READS_AT_ONCE)
        self._allowance: dict[str, TokenBucket] = {}

    @property
    def informers(self) -> dict[str, Informer[Any]]:
        """The watches by kind, for readiness and metrics."""
        return {"Namespace": self._namespaces, **self._owners}

    def namespace(self, key: NamespaceKey) -> Namespace:
        """The namespace as last seen; raises `Missing`."""
        if (known := self._namespaces.items.get(("", key.name))) is not None:
            return known
        found = self._remembered(key)
        if not isinstance(found, Namespace):
            raise Missing(key)
        return found

    def workload(self, key: OwnerKey) -> Workload | None:
        """The workload above an owner; raises `Missing`.

        The uid must match: an ownerReference is the pod author's word, and a made-up one is worth only itself.
        """
        known = self._owners[key.kind].items.get((key.namespace, key.name))
        if known is not None and known.uid == key.uid:
            return known.workload
        found = self._remembered(key)
        return found if isinstance(found, Workload) else None

    async def fetch(self, key: NamespaceKey | OwnerKey, source: str) -> None:
        """Read what is missing, together with everybody who waits for the same; raises `Unavailable`."""
        reading = self._reading.get(key)
        if reading is None:
            if not self._allowed(source):
                raise Unavailable(f"{key}: too many unknown objects were asked for by {source}")
            reading = asyncio.create_task(self._fetch(key))
            self._reading[key] = reading
            reading.add_done_callback(lambda task: self._done(key, task))
        # Shielded: one reader's connection going away is no reason for the others to fail.
        await asyncio.shield(reading)

    async def _fetch(self, key: NamespaceKey | OwnerKey) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS), self._at_once:
                found = await (self._namespace(key) if isinstance(key, NamespaceKey) else self._owner(key))
        except (KubeError, TimeoutError) as error:
            raise Unavailable(f"{key}: {str(error) or 'no answer in time'}") from error
        self._remember(key, found)

    def _done(self, key: NamespaceKey | OwnerKey, task: asyncio.Task[None]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # seen, even if everybody who waited has gone away

    async def _namespace(self, key: NamespaceKey) -> Namespace:
        return project_namespace(await self._kube.get(NAMESPACES, name=key.name, metadata_only=True))

    async def _owner(self, key: OwnerKey) -> Workload | None:
        try:
            resource = _OWNER_RESOURCES[key.kind]
            item = await self._kube.get(resource, namespace=key.namespace, name=key.name, metadata_only=True)
        except NotFound:
            return None
        owner = project_owner(item)
        return owner.workload if owner.uid == key.uid else None

    def _remembered(self, key: NamespaceKey | OwnerKey) -> Namespace | Workload | None:
        until, found = self._read.get(key, (0.0, None))
        if until < monotonic():
            raise Missing(key)
        return found

    def _remember(self, key: NamespaceKey | OwnerKey, found: Namespace | Workload | None) -> None:
        now = monotonic()
        # Oldest first, as dicts keep order and all live equally long: what has expired is dropped as the next arrives.
        while self._read and next(iter(self._read.values()))[0] < now:
            del self._read[next(iter(self._read))]
        self._read.pop(key, None)
        self._read[key] = (now + REMEMBERED_SECONDS, found)

    def _allowed(self, source: str) -> bool:
        now = monotonic()
        for address, bucket in list(self._allowance.items()):
            if bucket.full(now):
                del self._allowance[address]
        return self._allowance.setdefault(source, TokenBucket(READS_PER_SECOND, READS_BURST, updated=now)).take(now)
