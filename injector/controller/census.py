"""Who is in the mesh, as the finder's watches show it: which namespaces need the roots, and which pods run by them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from injector.inject.names import PROXY_CONTAINER, SYSTEM_NAMESPACES
from injector.inject.presence import env_value, proxy_container

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.inject.model import Namespace
    from injector.kube.client import Object
    from injector.kube.informer import Key

OVER = frozenset({"Succeeded", "Failed"})
HAS_IDENTITY = "INJECTOR_DEFAULT_INBOUND_POLICY"
"""A variable that every injected proxy has since there are identities: one without it is of a version before."""


@dataclass(frozen=True, slots=True)
class Member:
    """A pod with our proxy and an identity. `running`: the proxy's container runs. `until`: when the pod's
    deletion ends at the latest, None while nobody deletes it; a node that vanished keeps it longer."""

    uid: str
    running: bool
    until: datetime | None = None


def member_of(pod: Object) -> Member | None:
    """What of a pod the census keeps; None for one without identity, or that is over."""
    proxy, status = proxy_container(pod), pod.get("status") or {}
    if status.get("phase") in OVER or proxy is None or not env_value(proxy, HAS_IDENTITY):
        return None
    states = (entry for entry in status.get("initContainerStatuses") or () if entry.get("name") == PROXY_CONTAINER)
    running = any("running" in (entry.get("state") or {}) for entry in states)
    metadata = pod["metadata"]
    deleted = metadata.get("deletionTimestamp")
    return Member(metadata["uid"], running, datetime.fromisoformat(deleted) if deleted else None)


class Census:
    """`synced` is set once all namespaces and pods were seen: before that, absence means nothing. Whoever wants to know
    of namespaces whose need may have changed adds itself to `listeners`."""

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self.listeners: list[Callable[[str], None]] = []
        self._members: dict[Key, Member] = {}
        self._populated: Counter[str] = Counter()
        self._opted_in: set[str] = set()
        self._namespaces: set[str] = set()

    def put_namespace(self, name: str, namespace: Namespace | None) -> None:
        """A namespace is there, or gone or going."""
        (self._namespaces.discard if namespace is None else self._namespaces.add)(name)
        opted_in = namespace is not None and namespace.opted_in
        (self._opted_in.add if opted_in else self._opted_in.discard)(name)
        self._tell(name)

    def put_pod(self, key: Key, member: Member | None) -> None:
        """A pod is a member, or none."""
        before = self._members.pop(key, None)
        if member is not None:
            self._members[key] = member
        if (before is None) == (member is None):
            return
        self._populated[key[0]] += 1 if before is None else -1
        if not self._populated[key[0]]:
            del self._populated[key[0]]
        self._tell(key[0])

    def needs(self, namespace: str) -> bool:
        """Whether pods of the namespace look for the roots there, or may any moment."""
        present = namespace in self._namespaces and namespace not in SYSTEM_NAMESPACES
        return present and (namespace in self._opted_in or namespace in self._populated)

    def knows(self, namespace: str) -> bool:
        """Whether the namespace is there, and nobody deletes it."""
        return namespace in self._namespaces

    def needing(self) -> list[str]:
        """All namespaces that need the roots."""
        return [name for name in self._opted_in | self._populated.keys() if self.needs(name)]

    def running(self, now: datetime) -> dict[str, str]:
        """The pods whose proxies run: uid to `namespace/name`."""
        return {
            member.uid: "/".join(key)
            for key, member in self._members.items()
            if member.running and (member.until is None or now < member.until)
        }

    def _tell(self, namespace: str) -> None:
        for listener in self.listeners:
            listener(namespace)
