"""Answers as the contract's bytes, and its addresses as ours. The only module that knows both forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from injector.api import mesh_pb2 as pb
from injector.discovery.model import Destination, ServicePort

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

    from injector.discovery.model import Difference, Endpoint, Endpoints, PodName

LENGTHS: Final = (4, 16)
HIGHEST_PORT: Final = 65535
_READINESS: Final = (pb.READY, pb.TERMINATING, pb.NOT_READY)
_PROTOCOL: Final = (pb.UNDECLARED, pb.OPAQUE, pb.HTTP, pb.HTTP2)


class Malformed(ValueError):  # noqa: N818 - a condition, read as such in an except clause
    """A message that makes no sense; says what was expected and what came."""


def read_address(address: pb.Address) -> Destination:
    """Ours for theirs; raises `Malformed`."""
    if len(address.ip) not in LENGTHS:
        raise Malformed(f"address: expected an ip of 4 or 16 bytes, got {len(address.ip)}")
    if not 1 <= address.port <= HIGHEST_PORT:
        raise Malformed(f"address: expected a port of 1 to {HIGHEST_PORT}, got {address.port}")
    return Destination(address.ip, address.port)


def snapshot(destination: Destination, version: int, known: Endpoints | None) -> bytes:
    """All there is to say of a destination; None is "not ours"."""
    answer, told = _answer(destination, version)
    if known is None:
        told.not_ours.SetInParent()
        return answer.SerializeToString()
    whole = told.endpoints
    whole.SetInParent()
    if isinstance(known.target, ServicePort):
        whole.service.namespace, whole.service.name, whole.service.port = known.target
    else:
        _pod(whole.pod, known.target)
    whole.affinity_seconds = known.affinity_seconds
    whole.node_local = known.node_local
    whole.protocol = _PROTOCOL[known.protocol]
    _endpoints(whole.endpoints, known.endpoints.values())
    return answer.SerializeToString()


def delta(destination: Destination, version: int, base: int, told_apart: Difference) -> bytes:
    """What has changed since version `base`."""
    answer, told = _answer(destination, version)
    told.delta.base_version = base
    _endpoints(told.delta.changed, told_apart.changed)
    for removed in told_apart.removed:
        told.delta.removed.add(ip=removed.ip, port=removed.port)
    return answer.SerializeToString()


def refused(destination: Destination) -> bytes:
    """The stream follows as many as it may."""
    answer, told = _answer(destination, 0)
    told.refused.SetInParent()
    return answer.SerializeToString()


def parameters(zone: str, most_destinations: int, issuer: bytes, renew_within_seconds: int) -> bytes:
    """What holds for the stream; an empty `issuer` is no wish."""
    told = pb.Parameters(zone=zone, most_destinations=most_destinations)
    if issuer:
        told.issuer = issuer
        told.renew_within_seconds = renew_within_seconds
    return pb.WatchResponse(parameters=told).SerializeToString()


def _answer(destination: Destination, version: int) -> tuple[pb.WatchResponse, pb.Destination]:
    answer = pb.WatchResponse()
    told = answer.destination
    told.address.ip, told.address.port = destination
    told.version = version
    return answer, told


def _endpoints(messages: RepeatedCompositeFieldContainer[pb.Endpoint], endpoints: Iterable[Endpoint]) -> None:
    for endpoint in endpoints:
        message = messages.add(
            readiness=_READINESS[endpoint.readiness],
            zone=endpoint.zone,
            node=endpoint.node,
            opaque=endpoint.opaque,
        )
        message.address.ip, message.address.port = endpoint.address
        if endpoint.identity is not None:
            message.mesh.namespace, message.mesh.service_account = endpoint.identity
        if endpoint.pod is not None:
            _pod(message.pod, endpoint.pod)
        if endpoint.workload is not None:
            message.workload.kind, message.workload.name = endpoint.workload.kind, endpoint.workload.name


def _pod(message: pb.Pod, name: PodName) -> None:
    message.namespace, message.name = name
