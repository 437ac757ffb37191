"""What a proxy is told: plain data, compared by value. Addresses are packed, as the contract has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Destination(NamedTuple):
    """An address and a port that an application dials, or an endpoint listens at."""

    ip: bytes
    port: int


class Readiness(IntEnum):
    """The contract's enum, in the order of preference: the smaller, the better."""

    READY = 0
    TERMINATING = 1
    NOT_READY = 2


class PodName(NamedTuple):
    """A pod."""

    namespace: str
    name: str


class ServicePort(NamedTuple):
    """A port of a Service; `port` is the port's name, "" where it has none."""

    namespace: str
    name: str
    port: str


class Identity(NamedTuple):
    """Who must answer: a ServiceAccount of the mesh's trust domain."""

    namespace: str
    service_account: str


class Endpoint(NamedTuple):
    """Where connections may go. `identity` is None where only plain bytes can be sent; `pod` is None where no live pod
    of the slice's own namespace owns the address."""

    address: Destination
    identity: Identity | None
    readiness: Readiness
    zone: str
    node: str
    opaque: bool
    pod: PodName | None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """All that is known of a destination that is ours."""

    target: ServicePort | PodName
    endpoints: dict[Destination, Endpoint]
    affinity_seconds: int = 0
    node_local: bool = False

    def same_frame(self, other: Endpoints) -> bool:
        """Whether the two differ in their endpoints at most, which is all that a delta can say."""
        mine = (self.target, self.affinity_seconds, self.node_local)
        return mine == (other.target, other.affinity_seconds, other.node_local)


class Difference(NamedTuple):
    """What turns one set of endpoints into another: new or changed ones whole, and the addresses of those gone."""

    changed: list[Endpoint]
    removed: list[Destination]


def difference(old: Endpoints, new: Endpoints) -> Difference:
    """From `old` to `new`."""
    changed = [endpoint for address, endpoint in new.endpoints.items() if old.endpoints.get(address) != endpoint]
    return Difference(changed, [address for address in old.endpoints if address not in new.endpoints])
