"""Every kind of Service and of pod, and what a client that dials it is told."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from injector.discovery import records
from injector.discovery.index import Index
from injector.discovery.model import Destination, Endpoint, Endpoints, Identity, PodName, Readiness, ServicePort
from injector.discovery.records import (
    MeshFacts,
    packed,
    project_namespace,
    project_node,
    project_pod,
    project_service,
    project_slice,
)
from injector.inject.model import Workload
from tests.discovery.objects import endpoint, endpoint_slice, namespace, node, pod, service

if TYPE_CHECKING:
    from injector.discovery.index import Touched

WEB = ServicePort("shop", "web", "")
READY, TERMINATING, NOT_READY = Readiness


def to(ip: str, port: int) -> Destination:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return Destination(socket.inet_pton(family, ip), port)


CLUSTER_IP = to("10.96.0.10", 80)


class Cluster:
    """An index that is told whole objects."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.index = Index()
        for item in objects:
            self.put(item)

    def put(self, item: dict[str, Any]) -> Touched:
        metadata = item["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if "kind" in item:
            return self.index.put_namespace(key[1], project_namespace(item))
        if "addressType" in item:
            return self.index.put_slice(key, project_slice(item))
        if "status" in item:
            return self.index.put_pod(key, project_pod(item))
        if "spec" in item:
            return self.index.put_service(key, project_service(item))
        return self.index.put_node(key[1], project_node(item))

    def at(self, ip: str, port: int) -> Endpoints | None:
        return self.index.resolve(to(ip, port))

    def endpoints(self, ip: str = "10.96.0.10", port: int = 80) -> dict[str, Endpoint]:
        """By address and port, as text."""
        known = self.at(ip, port)
        assert known is not None, "not ours"
        for address, found in known.endpoints.items():
            assert found.address == address
        return {
            f"{socket.inet_ntop(socket.AF_INET if len(where.ip) == 4 else socket.AF_INET6, where.ip)}:{where.port}": one
            for where, one in known.endpoints.items()
        }


def test_a_meshed_endpoint_is_told_with_everything() -> None:
    cluster = Cluster(
        node(),
        service(),
        pod(workload=("Deployment", "web")),
        endpoint_slice(endpoint("10.244.0.5", pod="web-a", nodeName="node-1")),
    )
    address = to("10.244.0.5", 8080)
    assert cluster.at("10.96.0.10", 80) == Endpoints(
        WEB,
        {
            address: Endpoint(
                address,
                Identity("shop", "web"),
                READY,
                zone="zone-a",
                node="node-1",
                opaque=False,
                pod=PodName("shop", "web-a"),
                workload=Workload("Deployment", "web"),
            )
        },
    )


@pytest.mark.parametrize("plain", [pod(meshed=False), pod(policy="")], ids=["unmeshed", "injected before TLS"])
def test_an_unmeshed_pod_has_no_identity(plain: dict[str, Any]) -> None:
    cluster = Cluster(service(), plain, endpoint_slice(endpoint("10.244.0.5", pod="web-a")))
    found = cluster.endpoints()["10.244.0.5:8080"]
    assert (found.identity, found.pod) == (None, PodName("shop", "web-a"))


@pytest.mark.parametrize("port", [4140, 4143, 4190, 4191])
def test_the_proxys_own_ports_are_reached_without_it(port: int) -> None:
    assert Cluster(pod()).endpoints("10.244.0.5", port)[f"10.244.0.5:{port}"].identity is None


@pytest.mark.parametrize(
    ("target", "meshed", "opaque"),
    [(8080, True, False), (9000, False, False), (9005, False, False), (9011, True, False), (3306, True, True)],
)
def test_skipped_and_opaque_ports_are_read_from_the_sidecar(target: int, meshed: bool, opaque: bool) -> None:
    cluster = Cluster(
        service(),
        pod(skip="9000-9010", opaque="3306"),
        endpoint_slice(endpoint("10.244.0.5", pod="web-a"), ports=[{"name": "", "port": target}]),
    )
    found = cluster.endpoints()[f"10.244.0.5:{target}"]
    assert (found.identity is not None, found.opaque) == (meshed, opaque)
    direct = cluster.endpoints("10.244.0.5", target)[f"10.244.0.5:{target}"]
    assert (direct.identity is not None, direct.opaque) == (meshed, opaque)


def test_named_ports_and_several_of_them_each_have_their_own_endpoints() -> None:
    cluster = Cluster(
        service(
            ports=[
                {"name": "http", "port": 80, "targetPort": "web"},
                {"name": "admin", "port": 8000, "targetPort": 9000},
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "lost", "port": 81},
            ]
        ),
        pod(),
        pod("web-b", ips=("10.244.0.6",)),
        # Two pods whose containers name different ports "web": the slice controller makes a slice for each.
        endpoint_slice(
            endpoint("10.244.0.5", pod="web-a"),
            ports=[
                {"name": "http", "port": 8080},
                {"name": "admin", "port": 9000},
                {"name": "dns", "port": 53, "protocol": "UDP"},
            ],
        ),
        endpoint_slice(
            endpoint("10.244.0.6", pod="web-b"),
            name="web-2",
            ports=[{"name": "http", "port": 8081}, {"name": "admin", "port": 9000}],
        ),
    )
    assert set(cluster.endpoints(port=80)) == {"10.244.0.5:8080", "10.244.0.6:8081"}
    assert set(cluster.endpoints(port=8000)) == {"10.244.0.5:9000", "10.244.0.6:9000"}
    assert cluster.endpoints(port=81) == {}, "a port that no slice has: ours, and nobody is there"
    assert cluster.at("10.96.0.10", 53) is None, "not TCP"
    known = cluster.at("10.96.0.10", 80)
    assert known is not None
    assert known.target == ServicePort("shop", "web", "http")


def test_a_slice_is_only_for_destinations_of_its_family() -> None:
    cluster = Cluster(
        service(ips=("10.96.0.10", "fd00:96::a")),
        pod(ips=("10.244.0.5", "fd00:244::5")),
        endpoint_slice(endpoint("10.244.0.5", pod="web-a")),
        endpoint_slice(endpoint("fd00:244::5", pod="web-a"), name="web-6", family="IPv6"),
    )
    assert set(cluster.endpoints("10.96.0.10")) == {"10.244.0.5:8080"}
    assert set(cluster.endpoints("fd00:96::a")) == {"fd00:244::5:8080"}
    assert cluster.endpoints("fd00:96::a")["fd00:244::5:8080"].identity == Identity("shop", "web")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, READY),
        ({"ready": True}, READY),
        ({"ready": False}, NOT_READY),
        ({"ready": False, "serving": False, "terminating": False}, NOT_READY),
        ({"ready": False, "serving": True, "terminating": True}, TERMINATING),
        ({"ready": False, "serving": False, "terminating": True}, NOT_READY),
        # publishNotReadyAddresses: the slice controller says ready whatever the pod says.
        ({"ready": True, "serving": False, "terminating": True}, READY),
    ],
)
def test_readiness_is_the_slices(conditions: dict[str, bool], expected: Readiness) -> None:
    cluster = Cluster(service(), pod(), endpoint_slice(endpoint("10.244.0.5", pod="web-a", conditions=conditions)))
    assert cluster.endpoints()["10.244.0.5:8080"].readiness is expected


def test_an_address_in_two_slices_is_one_endpoint_as_ready_as_the_readier() -> None:
    ready = endpoint("10.244.0.5", pod="web-a")
    going = endpoint("10.244.0.5", pod="web-a", conditions={"ready": False})
    for first, second in ((ready, going), (going, ready)):
        cluster = Cluster(service(), pod(), endpoint_slice(first), endpoint_slice(second, name="web-2"))
        assert [one.readiness for one in cluster.endpoints().values()] == [READY]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}}}, 600),
    ],
)
def test_session_affinity_is_told_with_its_timeout(spec: dict[str, Any], seconds: int) -> None:
    known = Cluster(service(**spec)).at("10.96.0.10", 80)
    assert known is not None
    assert known.affinity_seconds == seconds


@pytest.mark.parametrize(("policy", "local"), [("Local", True), ("Cluster", False), (None, False)])
def test_internal_traffic_policy(policy: str | None, local: bool) -> None:
    known = Cluster(service(internalTrafficPolicy=policy)).at("10.96.0.10", 80)
    assert known is not None
    assert known.node_local is local


# What is never ours.


@pytest.mark.parametrize(
    ("item", "ip"),
    [
        (service(externalIPs=["203.0.113.7"]), "203.0.113.7"),
        (service(type="LoadBalancer", loadBalancerIP="203.0.113.8"), "203.0.113.8"),
        (
            service(type="LoadBalancer") | {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}},
            "203.0.113.9",
        ),
        (service(type="ExternalName", externalName="example.org", clusterIP="10.96.0.99"), "10.96.0.99"),
        (service(), "10.96.0.11"),
    ],
    ids=["externalIPs", "loadBalancerIP", "ingress", "ExternalName", "nobody's"],
)
def test_addresses_that_are_never_ours(item: dict[str, Any], ip: str) -> None:
    index = Index()
    index.put_service(("shop", "web"), project_service(item))
    assert index.resolve(to(ip, 80)) is None


def test_a_cluster_ip_with_a_port_that_the_service_has_not_is_not_ours() -> None:
    assert Cluster(service()).at("10.96.0.10", 81) is None


def test_a_headless_service_has_no_destination_and_its_pods_have() -> None:
    cluster = Cluster(service(ips=("None",)), pod(), endpoint_slice(endpoint("10.244.0.5", pod="web-a")))
    known = cluster.at("10.244.0.5", 6379)
    assert known is not None
    assert known.target == PodName("shop", "web-a")
    assert [one.identity for one in known.endpoints.values()] == [Identity("shop", "web")]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_owns_nothing(phase: str) -> None:
    assert Cluster(pod(phase=phase)).at("10.244.0.5", 80) is None


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_any_other_pod_owns_its_addresses(phase: str) -> None:
    cluster = Cluster(pod(phase=phase, ips=("10.244.0.5", "fd00:244::5")))
    assert cluster.at("10.244.0.5", 80) is not None
    assert cluster.at("fd00:244::5", 80) is not None


def test_a_host_network_pod_owns_nothing_and_is_never_meshed() -> None:
    cluster = Cluster(
        service(),
        pod(host_network=True, ips=("172.30.0.1",)),
        endpoint_slice(endpoint("172.30.0.1", pod="web-a", nodeName="node-1", zone="z")),
    )
    assert cluster.at("172.30.0.1", 8080) is None
    found = cluster.endpoints()["172.30.0.1:8080"]
    assert (found.identity, found.pod, found.node, found.zone) == (None, None, "node-1", "z")


# Who an address belongs to.


def test_of_two_claims_to_an_address_the_one_that_stays_wins_then_the_youngest() -> None:
    old = pod("old", created="2026-01-01T00:00:00Z")
    new = pod("new", created="2026-01-02T00:00:00Z")
    leaving = pod("leaving", created="2026-01-03T00:00:00Z", leaving=True)
    for order in ([old, new, leaving], [leaving, new, old], [new, leaving, old]):
        known = Cluster(*order).at("10.244.0.5", 80)
        assert known is not None
        assert known.target == PodName("shop", "new")


def test_slices_by_hand_find_the_pod_of_their_own_namespace() -> None:
    cluster = Cluster(service(), pod(), endpoint_slice(endpoint("10.244.0.5"), endpoint("198.51.100.1")))
    found = cluster.endpoints()
    assert found["10.244.0.5:8080"].identity == Identity("shop", "web")
    assert (found["198.51.100.1:8080"].identity, found["198.51.100.1:8080"].pod) == (None, None)


@pytest.mark.parametrize("reference", [{}, {"kind": "Pod", "namespace": "bank", "name": "vault", "uid": "uid-vault"}])
def test_nobody_borrows_the_identity_of_another_namespaces_pod(reference: dict[str, str]) -> None:
    entry = endpoint("10.244.0.9") | {"targetRef": reference}
    vault = pod("vault", "bank", ips=("10.244.0.9",), account="vault")
    found = Cluster(service(), vault, endpoint_slice(entry)).endpoints()["10.244.0.9:8080"]
    assert (found.identity, found.pod) == (None, None)


@pytest.mark.parametrize(
    "known",
    [[], [pod(ips=())], [pod(phase="Failed")], [pod() | {"metadata": pod()["metadata"] | {"uid": "another"}}]],
    ids=["not seen yet", "no address yet", "over", "another of that name"],
)
def test_an_endpoint_whose_pod_is_not_known_is_left_out_rather_than_told_as_plain(known: list[dict[str, Any]]) -> None:
    cluster = Cluster(service(), *known, endpoint_slice(endpoint("10.244.0.5", pod="web-a")))
    assert cluster.endpoints() == {}
    assert CLUSTER_IP in cluster.put(pod()).destinations
    assert set(cluster.endpoints()) == {"10.244.0.5:8080"}


def test_an_address_that_its_pod_has_on_another_network_is_plain() -> None:
    cluster = Cluster(service(), pod(), endpoint_slice(endpoint("192.168.7.7", pod="web-a")))
    found = cluster.endpoints()["192.168.7.7:8080"]
    assert (found.identity, found.pod) == (None, None)


def test_addresses_that_cannot_be_read_are_left_out() -> None:
    broken = endpoint_slice(endpoint("10.244.0.300"), endpoint("fd00::1"), {"addresses": []}, endpoint("10.1.1.1"))
    assert set(Cluster(service(), broken).endpoints()) == {"10.1.1.1:8080"}
    assert packed(None) is None
    assert packed("010.0.0.1") is None


def test_ports_that_are_none_are_left_out() -> None:
    """The API server takes any number there."""
    ports = [{"name": str(number), "port": number} for number in (-5, 0, 65_536, 1_000_000)] + [
        {"name": "", "port": 8080}
    ]
    record = project_slice(endpoint_slice(endpoint("10.244.0.5"), ports=ports))
    assert record is not None
    assert record.ports == (("", 8080),)


def test_lists_of_ports_that_we_never_wrote_cost_nothing() -> None:
    """A pod that nobody reviewed can say anything in our variables."""
    endless = ",".join(str(port) for port in range(1, 65_000, 2))
    before = records._remembered.cache_info().currsize
    record = project_pod(pod(skip=endless, opaque=endless))
    assert record is not None
    assert record.mesh == MeshFacts((), ())
    assert records._remembered.cache_info().currsize == before
    longest = ",".join(["65534-65535"] * 256)
    assert len(longest) <= records.LONGEST_LIST


@pytest.mark.parametrize(
    "change",
    [{"addressType": "FQDN"}, {"metadata": {"name": "web-1", "namespace": "shop"}}],
    ids=["names", "nobody's"],
)
def test_slices_that_no_cluster_ip_leads_to(change: dict[str, Any]) -> None:
    assert project_slice(endpoint_slice(endpoint("10.244.0.5")) | change) is None


# What a change touches.


def test_each_change_touches_what_it_changes() -> None:
    cluster = Cluster(service(), pod(), endpoint_slice(endpoint("10.244.0.5", pod="web-a"), endpoint("10.244.0.6")))
    ip, other = to("10.244.0.5", 1).ip, to("10.244.0.6", 1).ip
    assert cluster.put(service(ports=[{"port": 81}])).destinations == {CLUSTER_IP, to("10.96.0.10", 81)}
    assert cluster.put(service()).destinations == {CLUSTER_IP, to("10.96.0.10", 81)}
    assert cluster.put(pod(leaving=True)) == ({CLUSTER_IP}, {ip})
    assert cluster.put(pod("plain", ips=("10.244.0.6",))) == ({CLUSTER_IP}, {other})
    assert cluster.put(pod("elsewhere", ips=("10.244.0.7",))) == (set(), {to("10.244.0.7", 1).ip})
    assert cluster.put(node()) == ({CLUSTER_IP}, {ip, other, to("10.244.0.7", 1).ip})
    assert cluster.put(namespace(opaque="80")) == ({CLUSTER_IP}, set())
    assert cluster.put(namespace("bank", opaque="80")) == (set(), set())
    moved = endpoint_slice(endpoint("10.244.0.5", pod="web-a"), service="api")
    assert cluster.put(moved).destinations == {CLUSTER_IP}
    assert cluster.put(pod()) == (set(), {ip})


def test_nothing_is_left_of_objects_that_are_gone() -> None:
    cluster = Cluster(
        node(),
        namespace(opaque="80"),
        service(),
        pod(),
        endpoint_slice(endpoint("10.244.0.5", pod="web-a"), endpoint("10.0.0.1")),
    )
    assert cluster.index.meshed_pods("shop") == 1
    cluster.index.put_service(("shop", "web"), None)
    cluster.index.put_slice(("shop", "web-1"), None)
    cluster.index.put_pod(("shop", "web-a"), None)
    cluster.index.put_node("node-1", None)
    cluster.index.put_namespace("shop", None)
    cluster.index.put_pod(("shop", "never-seen"), None)
    assert not any(vars(cluster.index).values())
