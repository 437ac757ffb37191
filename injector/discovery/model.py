"""What a proxy is told: plain data, compared by value. Addresses are packed, as the contract has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from injector.inject.model import Workload


class Destination(NamedTuple):
    """An address and a port that an application dials, or an endpoint listens at."""

    ip: bytes
    port: int


class Readiness(IntEnum):
    """The contract's enum, in the order of preference: the smaller, the better."""

    READY = 0
    TERMINATING = 1
    NOT_READY = 2


class Protocol(IntEnum):
    """The contract's enum: what a destination's port is declared to carry."""

    UNDECLARED = 0
    OPAQUE = 1
    HTTP = 2
    HTTP2 = 3


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
    of the slice's own namespace owns the address; `workload` is what that pod belongs to, None where not known."""

    address: Destination
    identity: Identity | None
    readiness: Readiness
    zone: str
    node: str
    opaque: bool
    pod: PodName | None
    workload: Workload | None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """All that is known of a destination that is ours."""

    target: ServicePort | PodName
    endpoints: dict[Destination, Endpoint]
    affinity_seconds: int = 0
    node_local: bool = False
    protocol: Protocol = Protocol.UNDECLARED

    def same_frame(self, other: Endpoints) -> bool:
        """Whether the two differ in their endpoints at most, which is all that a delta can say."""
        mine = (self.target, self.affinity_seconds, self.node_local, self.protocol)
        return mine == (other.target, other.affinity_seconds, other.node_local, other.protocol)


class Difference(NamedTuple):
    """What turns one set of endpoints into another: new or changed ones whole, and the addresses of those gone."""

    changed: list[Endpoint]
    removed: list[Destination]


def difference(old: Endpoints, new: Endpoints) -> Difference:
    """From `old` to `new`."""
    changed = [endpoint for address, endpoint in new.endpoints.items() if old.endpoints.get(address) != endpoint]
    return Difference(changed, [address for address in old.endpoints if address not in new.endpoints])
