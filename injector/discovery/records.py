"""What is kept of each Kubernetes object: the few fields that an answer depends on, small enough for every pod of a
large cluster. Names that thousands of objects share (namespaces, nodes, zones) are interned, so they are kept once.

Projections never fail: an address or a port list that cannot be read (they are written by people, too, in slices of
their own) is left out, and what is left is answered for.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from sys import intern
from typing import TYPE_CHECKING, Final, NamedTuple

from injector.discovery import declared
from injector.discovery.model import Readiness
from injector.discovery.workloads import workload
from injector.inject import ports
from injector.inject.names import PROXY_PORTS
from injector.inject.presence import env_value, proxy_container

if TYPE_CHECKING:
    from injector.discovery.model import Protocol
    from injector.inject.model import Json, Workload
    from injector.inject.ports import PortRange

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
SKIP_INBOUND_PORTS: Final = "INJECTOR_SKIP_INBOUND_PORTS"
OPAQUE_PORTS: Final = "INJECTOR_OPAQUE_PORTS"
SPEAKS_TLS: Final = "INJECTOR_DEFAULT_INBOUND_POLICY"
"""Written, never empty, by every injection since proxies take mesh traffic. A pod injected before that has a sidecar,
too, and can only be sent plain bytes."""

DEFAULT_AFFINITY_SECONDS: Final = 10800
"""ClientIPConfig.timeoutSeconds where it is not set (core/v1)."""

OVER: Final = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose containers are gone for good; its address may be another's already (PodStatus.phase)."""


class ServiceRecord(NamedTuple):
    """A Service with cluster IPs. `ports` are its TCP ports as (port, name, what it is declared to carry); `opaque` are
    those that its annotation declares to carry plain bytes, None where it does not say."""

    ips: tuple[bytes, ...]
    ports: tuple[tuple[int, str, Protocol], ...]
    affinity_seconds: int
    node_local: bool
    opaque: tuple[PortRange, ...] | None


class PodReference(NamedTuple):
    """The pod that an EndpointSlice names as the owner of an address; an empty uid matches any."""

    name: str
    uid: str


class SliceEndpoint(NamedTuple):
    """One address of a slice."""

    ip: bytes
    readiness: Readiness
    zone: str
    node: str
    pod: PodReference | None


class SliceRecord(NamedTuple):
    """An EndpointSlice of a Service: `length` bytes an address, `ports` as name -> number (TCP only)."""

    service: str
    length: int
    ports: tuple[tuple[str, int], ...]
    endpoints: tuple[SliceEndpoint, ...]


class MeshFacts(NamedTuple):
    """What a pod's sidecar was told: ports that bypass it, and ports that carry plain bytes."""

    skipped: tuple[PortRange, ...]
    opaque: tuple[PortRange, ...]

    def covers(self, port: int) -> bool:
        """Whether the sidecar stands in front of this port. Not of its own, which are reached directly (redirect)."""
        return port not in PROXY_PORTS and not any(port in skipped for skipped in self.skipped)


class PodRecord(NamedTuple):
    """A pod that is not over. `ips` are empty until the kubelet has reported them; `owns` is false for pods on their
    node's network, whose address is the node's; `mesh` is None without our sidecar; `workload` is what it belongs
    to."""

    uid: str
    ips: tuple[bytes, ...]
    owns: bool
    service_account: str
    node: str
    mesh: MeshFacts | None
    leaving: bool
    created: str
    workload: Workload | None


def packed(text: object) -> bytes | None:
    """An address as the contract writes it, or None where the text is not one."""
    try:
        return ip_address(text).packed if isinstance(text, str) else None
    except ValueError:
        return None


def project_service(item: Json) -> ServiceRecord | None:
    """A Service that has cluster IPs; None for headless ones (their clients dial pods) and ExternalName. External and
    load balancer addresses are never read: who may write them is not who owns them."""
    spec = item.get("spec") or {}
    listed = spec.get("clusterIPs") or [spec.get("clusterIP")]
    ips = tuple(ip for ip in map(packed, listed) if ip is not None)  # "None" and "" are no addresses
    if not ips or spec.get("type") == "ExternalName":
        return None
    tcp = tuple(
        (int(port["port"]), intern(port.get("name") or ""), declared.protocol(port))
        for port in spec.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    )
    local = spec.get("internalTrafficPolicy") == "Local"
    return ServiceRecord(ips, tcp, _affinity(spec), local, declared.opaque_ports(item))


def _affinity(spec: Json) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(client_ip.get("timeoutSeconds") or DEFAULT_AFFINITY_SECONDS)


MOST_PORT: Final = 65_535
LONGEST_LIST: Final = 4096
"""Characters of a list of ports: 256 ranges, which is what annotations may have, are 3,071."""

_LENGTHS: Final = {"IPv4": 4, "IPv6": 16}


def project_slice(item: Json) -> SliceRecord | None:
    """A slice of addresses that belongs to a Service; None for names (addressType FQDN) and slices of nobody."""
    metadata = item["metadata"]
    service = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
    length = _LENGTHS.get(item.get("addressType", ""))
    if not service or length is None:
        return None
    tcp = tuple(
        (intern(port.get("name") or ""), int(port["port"]))
        for port in item.get("ports") or ()
        # The API server does not look at these numbers, and a proxy that gets one that is no port drops the answer.
        if 0 < (port.get("port") or 0) <= MOST_PORT and port.get("protocol", "TCP") == "TCP"
    )
    found = (_slice_endpoint(entry, length, metadata.get("namespace", "")) for entry in item.get("endpoints") or ())
    return SliceRecord(intern(service), length, tcp, tuple(endpoint for endpoint in found if endpoint is not None))


def _slice_endpoint(entry: Json, length: int, namespace: str) -> SliceEndpoint | None:
    # All addresses of an entry are the same endpoint, and consumers use the first (discovery/v1 Endpoint.addresses).
    ip = packed(next(iter(entry.get("addresses") or ()), None))
    if ip is None or len(ip) != length:
        return None
    reference = entry.get("targetRef") or {}
    pod = None
    if reference.get("kind") == "Pod" and reference.get("namespace", namespace) == namespace:
        pod = PodReference(intern(reference.get("name") or ""), reference.get("uid") or "")
    return SliceEndpoint(
        ip, _readiness(entry), intern(entry.get("zone") or ""), intern(entry.get("nodeName") or ""), pod
    )


def _readiness(entry: Json) -> Readiness:
    """From EndpointConditions, absent ones as discovery/v1 says: `ready` counts as true, `serving` as `ready`,
    `terminating` as false. publishNotReadyAddresses shows as `ready`."""
    conditions = entry.get("conditions") or {}
    ready = conditions.get("ready")
    if ready is None or ready:
        return Readiness.READY
    going = conditions.get("serving") and conditions.get("terminating")
    return Readiness.TERMINATING if going else Readiness.NOT_READY


def project_pod(item: Json) -> PodRecord | None:
    """A pod that may still own its addresses; None for one that is over."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    if status.get("phase") in OVER:
        return None
    listed = [entry.get("ip") for entry in status.get("podIPs") or ()] or [status.get("podIP")]
    owns = not spec.get("hostNetwork")
    return PodRecord(
        uid=metadata.get("uid", ""),
        ips=tuple(dict.fromkeys(ip for ip in map(packed, listed) if ip is not None)),
        owns=owns,
        service_account=intern(spec.get("serviceAccountName") or "default"),
        node=intern(spec.get("nodeName") or ""),
        mesh=_mesh(item) if owns else None,
        leaving="deletionTimestamp" in metadata,
        created=metadata.get("creationTimestamp") or "",
        workload=workload(item) if owns else None,  # else no endpoint is ever said to be this pod's
    )


def _mesh(pod: Json) -> MeshFacts | None:
    sidecar = proxy_container(pod)
    if sidecar is None or not env_value(sidecar, SPEAKS_TLS):
        return None
    return MeshFacts(_ranges(env_value(sidecar, SKIP_INBOUND_PORTS)), _ranges(env_value(sidecar, OPAQUE_PORTS)))


@lru_cache(maxsize=1024)  # a cluster uses a few such lists; all its pods share one tuple of each: 4 MiB at most
def _remembered(text: str) -> tuple[PortRange, ...]:
    return ports.parse(text)


def _ranges(text: str) -> tuple[PortRange, ...]:
    # Else not written by us (admission refuses edits; who is not reviewed is not meshed): nothing depends on it.
    try:
        return _remembered(text) if len(text) <= LONGEST_LIST else ()
    except ValueError:
        return ()


def project_node(item: Json) -> str | None:
    """The node's zone; None where it has none."""
    return intern((item["metadata"].get("labels") or {}).get(ZONE_LABEL) or "") or None


def project_namespace(item: Json) -> tuple[PortRange, ...] | None:
    """Ports of its Services that the namespace declares to carry plain bytes; None where it does not, as most."""
    return declared.opaque_ports(item) or None
