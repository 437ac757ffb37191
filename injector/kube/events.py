"""Events about observed objects: each thing said once, at a bounded rate, never in the way of whoever says it."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from injector.kube.errors import AlreadyExists, KubeError
from injector.kube.resources import EVENTS
from injector.pace import TokenBucket

if TYPE_CHECKING:
    from injector.kube.client import KubeClient, Object

# 100 pods of a team's namespace are told of at once, a whole cluster's 10,000 over some minutes.
EVENTS_BURST = 100.0
EVENTS_PER_SECOND = 25.0
# What waits to be said. Beyond this the cluster has one problem, not ten thousand, and the metric says how large.
MOST_WAITING = 10_000
# The API's limit on an Event's message (core/v1 validation: NoteLengthLimit).
MESSAGE_BYTES = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be said: `reason` is a CamelCase word, `message` a sentence."""

    regarding: Regarding
    reason: str
    message: str
    type: str = "Warning"


class EventRecorder:
    """Says notes as core/v1 Events. `note` never waits; `run` does the talking."""

    def __init__(self, kube: KubeClient, *, component: str, instance: str) -> None:
        self._kube = kube
        self._component = component
        self._instance = instance
        # Insertion-ordered, and the same note twice is one note.
        self._waiting: dict[Note, None] = {}
        self._something = asyncio.Event()
        self._bucket = TokenBucket(EVENTS_PER_SECOND, EVENTS_BURST)
        self.dropped = 0

    def note(self, note: Note) -> None:
        """Say this soon."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting[note] = None
        self._something.set()

    def withdraw(self, note: Note) -> None:
        """It is not true any more: if it has not been said yet, it need not be."""
        self._waiting.pop(note, None)

    async def run(self) -> None:
        """Until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self._something.clear()
            while self._waiting:
                if (wait := self._bucket.wait_for_one(clock())) > 0:
                    await asyncio.sleep(wait)
                    continue
                self._bucket.take(clock())
                note = next(iter(self._waiting))
                del self._waiting[note]
                await self._say(note)
            await self._something.wait()

    async def _say(self, note: Note) -> None:
        event = event_object(note, self._component, self._instance, datetime.now(UTC))
        namespace = note.regarding.namespace or "default"
        try:
            try:
                await self._kube.create(EVENTS, event, namespace=namespace)
            except AlreadyExists:
                await self._repeat(event, namespace)
        except KubeError as error:
            # An Event is a courtesy; the metric is what alerts are made of. A namespace that is being deleted, a quota.
            log.info("an event was not recorded", error=str(error))

    async def _repeat(self, event: Object, namespace: str) -> None:
        """The same note stands there from before (an earlier leader's, or an hour ago): count it once more."""
        name = event["metadata"]["name"]
        known = await self._kube.get(EVENTS, namespace=namespace, name=name)
        again = {"count": (known.get("count") or 1) + 1, "lastTimestamp": event["lastTimestamp"]}
        await self._kube.merge_patch(EVENTS, again, namespace=namespace, name=name)


def event_object(note: Note, component: str, instance: str, now: datetime) -> Object:
    """The core/v1 Event for a note. Its name follows from what it says, so that saying it twice makes one Event."""
    about = note.regarding
    digest = hashlib.sha256("\0".join((about.uid, note.reason, note.message)).encode()).hexdigest()[:16]
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # A pod's name may take all 253 characters that the Event's may.
        "metadata": {"name": f"{about.name[:236]}.{digest}", "namespace": about.namespace or "default"},
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            "namespace": about.namespace,
            "uid": about.uid,
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message.encode()[:MESSAGE_BYTES].decode("utf-8", "ignore"),
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": component},
        "reportingComponent": f"injector.mesh/{component}",
        "reportingInstance": instance,
    }
