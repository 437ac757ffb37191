"""Which Service or pod a destination is, and who is there: the records of a cluster, indexed for one question.

Every change says which answers it may have changed: destinations (a cluster IP with a port), and addresses of pods,
with whatever port is asked for. Asking again is cheap, so what is said to have changed may turn out to be the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from injector.discovery.model import (
    Destination,
    Endpoint,
    Endpoints,
    Identity,
    PodName,
    Protocol,
    Readiness,
    ServicePort,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from injector.discovery.records import PodRecord, ServiceRecord, SliceEndpoint, SliceRecord
    from injector.inject.ports import PortRange

Key = tuple[str, str]
"""Namespace and name."""

K = TypeVar("K")


class Touched(NamedTuple):
    """Answers that may have changed: these destinations, and these addresses with any port."""

    destinations: set[Destination]
    ips: set[bytes]


class Index:
    """The present state. Records come in by `put_…` (None: the object is gone), answers go out by `resolve`."""

    def __init__(self) -> None:
        self._services: dict[Key, ServiceRecord] = {}
        self._slices: dict[Key, SliceRecord] = {}
        self._pods: dict[Key, PodRecord] = {}
        self._zones: dict[str, str] = {}
        self._opaque: dict[str, tuple[PortRange, ...]] = {}
        self._ports: dict[Destination, ServicePort] = {}
        self._slices_of: dict[Key, tuple[Key, ...]] = {}
        # Pods that say an address is theirs: one, but for moments in which an address passes from one to another.
        self._claims: dict[bytes, tuple[Key, ...]] = {}
        # Slices by the pods they name, and by the addresses whose pod they do not name.
        self._mentions: dict[Key | bytes, tuple[Key, ...]] = {}
        self._meshed: dict[str, int] = {}

    def zone(self, node: str) -> str:
        """The zone of a node, "" where it is not known."""
        return self._zones.get(node, "")

    def meshed_pods(self, namespace: str) -> int:
        """How many pods of a namespace have our sidecar."""
        return self._meshed.get(namespace, 0)

    # What comes in.

    def put_service(self, key: Key, new: ServiceRecord | None) -> Touched:
        """A Service came, changed or went."""
        old = self._services.pop(key, None)
        if old is not None:
            for destination, port in _service_ports(key, old):
                if self._ports.get(destination) == port:
                    del self._ports[destination]
        if new is not None:
            self._services[key] = new
            self._ports.update(_service_ports(key, new))
        return Touched({where for record in (old, new) if record for where, _ in _service_ports(key, record)}, set())

    def put_slice(self, key: Key, new: SliceRecord | None) -> Touched:
        """An EndpointSlice came, changed or went."""
        old = self._slices.pop(key, None)
        services = {(key[0], record.service) for record in (old, new) if record is not None}
        if old is not None:
            _drop(self._slices_of, (key[0], old.service), key)
            for mention in _mentions(key, old):
                _drop(self._mentions, mention, key)
        if new is not None:
            self._slices[key] = new
            _add(self._slices_of, (key[0], new.service), key)
            for mention in _mentions(key, new):
                _add(self._mentions, mention, key)
        return Touched(self._destinations(services), set())

    def put_pod(self, key: Key, new: PodRecord | None) -> Touched:
        """A pod came, changed or went."""
        old = self._pods.pop(key, None)
        if old is not None:
            self._count(key[0], old, -1)
            for ip in _owned(old):
                _drop(self._claims, ip, key)
        if new is not None:
            self._pods[key] = new
            self._count(key[0], new, +1)
            for ip in _owned(new):
                _add(self._claims, ip, key)
        return self._touched_by([(key, record) for record in (old, new) if record is not None])

    def put_node(self, name: str, zone: str | None) -> Touched:
        """A node came, changed or went. Rare, so its pods are looked for among all."""
        if zone is None:
            self._zones.pop(name, None)
        else:
            self._zones[name] = zone
        return self._touched_by([(key, pod) for key, pod in self._pods.items() if pod.node == name])

    def put_namespace(self, name: str, opaque: tuple[PortRange, ...] | None) -> Touched:
        """A namespace came, changed or went; its opaque ports. Rare, so its Services are looked for among all."""
        if opaque is None:
            self._opaque.pop(name, None)
        else:
            self._opaque[name] = opaque
        return Touched(self._destinations(key for key in self._services if key[0] == name), set())

    def _touched_by(self, pods: Iterable[tuple[Key, PodRecord]]) -> Touched:
        ips: set[bytes] = set()
        services: set[Key] = set()
        for key, pod in pods:
            ips.update(pod.ips)
            mentions: tuple[Key | bytes, ...] = (key, *pod.ips)
            for mention in mentions:
                services.update((place[0], self._slices[place].service) for place in self._mentions.get(mention, ()))
        return Touched(self._destinations(services), ips)

    def _destinations(self, services: Iterable[Key]) -> set[Destination]:
        known = ((key, self._services.get(key)) for key in services)
        return {where for key, record in known if record is not None for where, _ in _service_ports(key, record)}

    def _count(self, namespace: str, pod: PodRecord, by: int) -> None:
        if pod.mesh is not None:
            self._meshed[namespace] = self._meshed.get(namespace, 0) + by
            if not self._meshed[namespace]:
                del self._meshed[namespace]

    # What is asked.

    def resolve(self, destination: Destination) -> Endpoints | None:
        """What is behind a destination; None where it is neither a Service's nor a pod's."""
        if (port := self._ports.get(destination)) is not None:
            return self._of_service(port, destination)
        if (owner := self._owner(destination.ip)) is not None:
            name = PodName(*owner)
            endpoint = self._of_pod(destination, owner, Readiness.READY, zone="")
            # What Services say of the port is not this pod's word: another Service may say otherwise.
            protocol = Protocol.OPAQUE if endpoint.opaque else Protocol.UNDECLARED
            return Endpoints(name, {destination: endpoint}, protocol=protocol)
        return None

    def _of_service(self, target: ServicePort, destination: Destination) -> Endpoints:
        key = (target.namespace, target.name)
        service = self._services[key]
        found: dict[Destination, Endpoint] = {}
        for place in self._slices_of.get(key, ()):
            record = self._slices[place]
            port = next((number for name, number in record.ports if name == target.port), None)
            if port is None or record.length != len(destination.ip):
                continue
            for entry in record.endpoints:
                endpoint = self._of_entry(Destination(entry.ip, port), entry, target.namespace)
                if endpoint is None:
                    continue
                # While the slices of a Service are written anew one after the other, an address may stand in two.
                known = found.get(endpoint.address)
                if known is None or endpoint.readiness < known.readiness:
                    found[endpoint.address] = endpoint
        protocol = self._protocol(service, target.namespace, destination.port)
        return Endpoints(target, found, service.affinity_seconds, service.node_local, protocol)

    def _protocol(self, service: ServiceRecord, namespace: str, port: int) -> Protocol:
        """What a Service's port carries. The mesh's own annotation counts before appProtocol, which others read, too;
        and the Service's word stands in place of its namespace's, as a pod's does."""
        opaque = self._opaque.get(namespace, ()) if service.opaque is None else service.opaque
        if any(port in ports for ports in opaque):
            return Protocol.OPAQUE
        return next(protocol for number, _, protocol in service.ports if number == port)

    def _of_entry(self, address: Destination, entry: SliceEndpoint, namespace: str) -> Endpoint | None:
        """The endpoint that an entry of a slice stands for; None for one to be left out for now.

        A pod that the slice names must be known: slices and pods are watched apart, and taking "not seen yet" for "has
        no proxy" would send plain bytes to a meshed pod. Where no pod is named, the address must belong to a pod of the
        same namespace: nobody can borrow the identity of another namespace's pod by writing its address down.
        """
        if entry.pod is None:
            owner = self._owner(entry.ip)
            if owner is None or owner[0] != namespace:
                return _plain(address, entry)
            return self._of_pod(address, owner, entry.readiness, entry.zone)
        owner = (namespace, entry.pod.name)
        pod = self._pods.get(owner)
        if pod is None or not pod.ips or entry.pod.uid not in ("", pod.uid):
            return None
        if not pod.owns or entry.ip not in pod.ips:
            return _plain(address, entry)  # the node's address, or one of a second network that we do not redirect
        return self._of_pod(address, owner, entry.readiness, entry.zone)

    def _of_pod(self, address: Destination, owner: Key, readiness: Readiness, zone: str) -> Endpoint:
        pod = self._pods[owner]
        meshed = pod.mesh is not None and pod.mesh.covers(address.port)
        return Endpoint(
            address=address,
            identity=Identity(owner[0], pod.service_account) if meshed else None,
            readiness=readiness,
            zone=zone or self.zone(pod.node),
            node=pod.node,
            opaque=pod.mesh is not None and any(address.port in opaque for opaque in pod.mesh.opaque),
            pod=PodName(*owner),
            workload=pod.workload,
        )

    def _owner(self, ip: bytes) -> Key | None:
        """The live pod that an address belongs to. Of several that claim it, one that is not going away, then the
        youngest: addresses are given out again as soon as a pod's network is gone, before the pod object is."""
        claims = self._claims.get(ip, ())
        if len(claims) > 1:
            return max(claims, key=lambda key: (not self._pods[key].leaving, self._pods[key].created, key))
        return claims[0] if claims else None


def _service_ports(key: Key, record: ServiceRecord) -> Iterator[tuple[Destination, ServicePort]]:
    for ip in record.ips:
        for number, name, _ in record.ports:
            yield Destination(ip, number), ServicePort(*key, name)


def _mentions(key: Key, record: SliceRecord) -> set[Key | bytes]:
    return {(key[0], entry.pod.name) if entry.pod is not None else entry.ip for entry in record.endpoints}


def _owned(pod: PodRecord) -> tuple[bytes, ...]:
    return pod.ips if pod.owns else ()


def _plain(address: Destination, entry: SliceEndpoint) -> Endpoint:
    return Endpoint(address, None, entry.readiness, entry.zone, entry.node, opaque=False, pod=None, workload=None)


def _add(places: dict[K, tuple[Key, ...]], where: K, key: Key) -> None:
    places[where] = (*places.get(where, ()), key)


def _drop(places: dict[K, tuple[Key, ...]], where: K, key: Key) -> None:
    left = tuple(place for place in places[where] if place != key)
    if left:
        places[where] = left
    else:
        del places[where]
