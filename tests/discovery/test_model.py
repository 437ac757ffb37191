"""Properties of what proxies are told: deltas, versions, identities."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from injector.api import mesh_pb2 as pb
from injector.discovery import wire
from injector.discovery.board import Board, Subject
from injector.discovery.model import (
    Destination,
    Endpoint,
    Endpoints,
    Identity,
    PodName,
    Protocol,
    Readiness,
    ServicePort,
    difference,
)
from injector.inject.model import Workload
from tests.discovery.objects import endpoint, endpoint_slice, namespace, pod, service
from tests.discovery.test_index import CLUSTER_IP, Cluster

addresses = st.builds(
    Destination,
    st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    st.integers(1, 65535),
)
names = st.sampled_from(["a", "b", "shop"])


@st.composite
def endpoint_sets(draw: st.DrawFn) -> dict[Destination, Endpoint]:
    pool = draw(st.lists(st.sampled_from(range(12)), unique=True))
    return {
        where: Endpoint(
            where,
            draw(st.none() | st.builds(Identity, names, names)),
            draw(st.sampled_from(Readiness)),
            zone=draw(names),
            node=draw(names),
            opaque=draw(st.booleans()),
            pod=draw(st.none() | st.builds(PodName, names, names)),
            workload=draw(st.none() | st.builds(Workload, names, names)),
        )
        for where in (Destination(bytes([10, 0, 0, number]), 80) for number in pool)
    }


known = st.builds(
    Endpoints,
    st.one_of(st.builds(ServicePort, names, names, names), st.builds(PodName, names, names)),
    endpoint_sets(),
    st.sampled_from([0, 10800]),
    st.booleans(),
    st.sampled_from(Protocol),
)
answers = st.none() | known


class Follower:
    """A proxy's memory of one destination: it applies what it is sent, as the contract says."""

    def __init__(self) -> None:
        self.version = 0
        self.state: Any = None

    def mark(self, subject: Subject) -> None:
        """Asked for by the board."""

    def receive(self, message: bytes) -> None:
        told = pb.WatchResponse.FromString(message).destination
        if told.HasField("delta"):
            assert told.delta.base_version == self.version, "a delta is from what was sent last"
            endpoints = dict(self.state.endpoints)
            for gone in told.delta.removed:
                del endpoints[gone.ip, gone.port]
            endpoints |= {(each.address.ip, each.address.port): each for each in told.delta.changed}
            self.state.endpoints = endpoints
        else:
            self.state = told
            self.state = Told(told)
        assert told.version > self.version
        self.version = told.version

    def knows(self, expected: Endpoints | None) -> None:
        """What was received amounts to a snapshot of what there is."""
        fresh = Follower()
        fresh.receive(wire.snapshot(CLUSTER_IP, self.version, expected))
        assert (self.state.frame, self.state.endpoints) == (fresh.state.frame, fresh.state.endpoints)


class Told:
    """A snapshot, taken apart."""

    def __init__(self, told: pb.Destination) -> None:
        self.endpoints = {(each.address.ip, each.address.port): each for each in told.endpoints.endpoints}
        frame = pb.Destination()
        frame.CopyFrom(told)
        frame.version = 0
        del frame.endpoints.endpoints[:]
        self.frame = (told.WhichOneof("state"), frame.SerializeToString() if told.HasField("endpoints") else b"")


@given(known, known)
def test_a_difference_applied_to_the_old_is_the_new(old: Endpoints, new: Endpoints) -> None:
    told_apart = difference(old, new)
    left = {where: one for where, one in old.endpoints.items() if where not in told_apart.removed}
    assert left | {one.address: one for one in told_apart.changed} == new.endpoints


@given(st.lists(st.tuples(answers, st.booleans()), min_size=1))
def test_however_many_versions_a_follower_misses_it_knows_what_there_is(steps: list[tuple[Any, bool]]) -> None:
    present: list[Any] = [steps[0][0]]
    later: list[Any] = []
    board = Board(lambda _: present[0], later.append, lambda: 0.0)
    follower = Follower()
    subject = board.follow(CLUSTER_IP, follower)
    for answer, is_sent in steps:
        present[0] = answer
        board.touch(Cluster(service()).put(service()))
        while later:
            later.pop()()
        if is_sent and follower.version != subject.version:
            follower.receive(subject.message(follower.version)[0])
            follower.knows(answer)


@given(known, known)
def test_everybody_gets_the_very_same_bytes(old: Endpoints, new: Endpoints) -> None:
    subject = Subject(CLUSTER_IP, 1, old, 0.0)
    assert subject.message(0)[0] is subject.message(0)[0]
    subject.renew(2, new, 0.0)
    for has in (0, 1):
        assert subject.message(has)[0] is subject.message(has)[0]
    assert len(subject.message(1)[0]) <= len(subject.message(0)[0]) + 8, "longer by the base's version at most"


@given(addresses, answers)
def test_what_is_written_is_read_back(destination: Destination, answer: Endpoints | None) -> None:
    told = pb.WatchResponse.FromString(wire.snapshot(destination, 7, answer)).destination
    assert wire.read_address(told.address) == destination
    assert told.WhichOneof("state") == ("not_ours" if answer is None else "endpoints")
    if answer is not None:
        assert Protocol(told.endpoints.protocol) is answer.protocol
    for each in told.endpoints.endpoints:
        assert answer is not None
        mine = answer.endpoints[wire.read_address(each.address)]
        assert each.HasField("mesh") == (mine.identity is not None)
        assert Readiness(each.readiness) is mine.readiness
        workload = Workload(each.workload.kind, each.workload.name) if each.HasField("workload") else None
        assert workload == mine.workload


# Identities: whatever slices say, an identity is the one of a live meshed pod that owns the address, where it lives.

ips = st.sampled_from([f"10.244.0.{number}" for number in range(6)])
namespaces = st.sampled_from(["shop", "bank"])
pods = st.builds(
    pod,
    st.sampled_from(["a", "b", "c"]),
    namespaces,
    ips=st.lists(ips, max_size=2).map(tuple),
    meshed=st.booleans(),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
    account=st.sampled_from(["web", "vault"]),
    host_network=st.booleans(),
    leaving=st.booleans(),
)
entries = st.builds(
    endpoint,
    ips,
    pod=st.none() | st.sampled_from(["a", "b", "c", "d"]),
    uid=st.none() | st.sampled_from(["", "uid-a", "uid-x"]),
)
slices = st.builds(
    lambda namespace, listed: endpoint_slice(*listed, namespace=namespace), namespaces, st.lists(entries, max_size=4)
)


@given(st.lists(st.one_of(pods, slices), max_size=10))
def test_an_identity_is_only_ever_that_of_a_live_meshed_pod_of_the_slices_namespace(
    items: list[dict[str, Any]],
) -> None:
    cluster = Cluster(service(), service(namespace="bank", ips=("10.96.0.11",)), *items)
    last = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in items if "status" in item}
    for ip, home in (("10.96.0.10", "shop"), ("10.96.0.11", "bank")):
        for found in cluster.endpoints(ip).values():
            owners = [
                item
                for (where, _), item in last.items()
                if where == home
                and item["status"]["phase"] in ("Pending", "Running")
                and "hostNetwork" not in item["spec"]
                and {"ip": ".".join(map(str, found.address.ip))} in item["status"]["podIPs"]
            ]
            if found.pod is not None:
                assert found.pod.name in [item["metadata"]["name"] for item in owners]
            if found.identity is not None:
                assert found.pod is not None
                whose = last[found.pod]
                assert "initContainers" in whose["spec"]
                assert found.identity == (home, whose["spec"]["serviceAccountName"])


spaces = st.builds(namespace, namespaces, st.none() | st.sampled_from(["80", "8080", "eighty"]))


def named(item: dict[str, Any]) -> tuple[Any, ...]:
    """What makes it another object: its namespace, its name, its kind."""
    return item["metadata"].get("namespace"), item["metadata"]["name"], item.get("kind"), "status" in item


@given(st.lists(st.one_of(pods, slices, spaces), max_size=10), st.randoms())
def test_the_order_in_which_objects_are_heard_of_does_not_matter(items: list[dict[str, Any]], lot: Any) -> None:
    unique = list({named(item): item for item in items}.values())
    shuffled = list(unique)
    lot.shuffle(shuffled)
    one, other = Cluster(service(), *unique), Cluster(*shuffled, service())
    assert one.at("10.96.0.10", 80) == other.at("10.96.0.10", 80)
    for number in range(6):
        assert one.at(f"10.244.0.{number}", 80) == other.at(f"10.244.0.{number}", 80)


services = st.builds(
    lambda word, opaque: service(ports=[{"port": 80, "appProtocol": word}], opaque=opaque),
    st.sampled_from(["http", "grpc", None]),
    st.none() | st.sampled_from(["80", ""]),
)


@given(st.lists(st.one_of(pods, slices, spaces, services), max_size=8))
def test_what_is_touched_covers_all_that_changes(items: list[dict[str, Any]]) -> None:
    cluster = Cluster(service(), service(namespace="bank", ips=("10.96.0.11",)))
    watched = [("10.96.0.10", 80), ("10.96.0.11", 80), *((f"10.244.0.{number}", 80) for number in range(6))]
    before = {where: cluster.at(*where) for where in watched}
    for item in items:
        touched = cluster.put(item)
        for where in watched:
            after = cluster.at(*where)
            if after != before[where]:
                destination = Destination(bytes(map(int, where[0].split("."))), where[1])
                assert destination in touched.destinations or destination.ip in touched.ips
            before[where] = after
