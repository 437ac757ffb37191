"""What a destination's port is declared to carry, and who has the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from injector.discovery.model import Protocol
from injector.discovery.records import LONGEST_LIST
from injector.inject.values import MAX_LIST_ITEMS
from tests.discovery.objects import endpoint, endpoint_slice, namespace, pod, service
from tests.discovery.test_index import Cluster

if TYPE_CHECKING:
    from injector.discovery.model import Endpoints

UNDECLARED, OPAQUE, HTTP, HTTP2 = Protocol


def protocol(*objects: dict[str, Any], ip: str = "10.96.0.10", port: int = 80) -> Protocol:
    known: Endpoints | None = Cluster(*objects).at(ip, port)
    assert known is not None, "not ours"
    return known.protocol


def declared(word: str | None, **more: Any) -> dict[str, Any]:
    port = {"port": 80} if word is None else {"port": 80, "appProtocol": word}
    return service(ports=[port], **more)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (None, UNDECLARED),
        ("", UNDECLARED),
        ("http", HTTP),
        ("HTTP", HTTP),
        ("kubernetes.io/ws", HTTP),
        ("kubernetes.io/h2c", HTTP2),
        ("kubernetes.io/grpc", HTTP2),
        ("grpc", HTTP2),
        ("http2", UNDECLARED),
        ("https", OPAQUE),
        ("kubernetes.io/wss", OPAQUE),
        ("tcp", OPAQUE),
        ("tls", OPAQUE),
        ("mysql", OPAQUE),
        ("mariadb", OPAQUE),
        ("postgresql", OPAQUE),
        ("redis", OPAQUE),
        ("smtp", OPAQUE),
        ("example.com/own", UNDECLARED),
        ("kubernetes.io/later", UNDECLARED),
    ],
)
def test_app_protocol_says_what_a_services_port_carries(word: str | None, expected: Protocol) -> None:
    assert protocol(declared(word)) is expected


def test_each_port_has_its_own_word() -> None:
    web = service(
        ports=[
            {"name": "web", "port": 80, "appProtocol": "http"},
            {"name": "api", "port": 81, "appProtocol": "grpc"},
            {"name": "dns", "port": 82, "appProtocol": "http", "protocol": "UDP"},
            {"name": "db", "port": 82},
        ]
    )
    assert [protocol(web, port=port) for port in (80, 81, 82)] == [HTTP, HTTP2, UNDECLARED]


@pytest.mark.parametrize(
    ("own", "namespaces", "expected"),
    [
        ("80", None, OPAQUE),
        ("25,79-81", None, OPAQUE),
        ("81,8080", None, HTTP),  # ports of the Service: 8080 is where the pods listen
        (None, "80", OPAQUE),
        (None, "1-1000", OPAQUE),
        (None, "8080", HTTP),
        ("", "80", HTTP),
        ("81", "80", HTTP),
        ("80", "81", OPAQUE),
        ("eighty", None, HTTP),
        ("eighty", "80", OPAQUE),
        (None, "0-80", HTTP),
        ("80,0", None, HTTP),
    ],
)
def test_an_annotation_counts_before_app_protocol_and_the_services_before_its_namespaces(
    own: str | None, namespaces: str | None, expected: Protocol
) -> None:
    serving = endpoint_slice(endpoint("10.244.0.5", pod="web-a"))
    assert protocol(declared("http", opaque=own), namespace(opaque=namespaces), pod(), serving) is expected


def test_another_namespaces_word_is_none() -> None:
    assert protocol(declared("http"), namespace("bank", opaque="80")) is HTTP


def test_a_list_longer_than_admission_allows_is_ignored() -> None:
    most = ",".join(["80"] * MAX_LIST_ITEMS)
    assert len(most) <= LONGEST_LIST
    assert protocol(declared("http", opaque=most)) is OPAQUE
    assert protocol(declared("http", opaque=f"{most},80")) is HTTP


def test_an_annotation_that_goes_away_is_forgotten() -> None:
    cluster = Cluster(declared("http"), namespace(opaque="80"))
    cluster.put(namespace())
    assert cluster.at("10.96.0.10", 80) == Cluster(declared("http")).at("10.96.0.10", 80)


@pytest.mark.parametrize(("port", "expected"), [(3306, OPAQUE), (8080, UNDECLARED)])
def test_at_a_pods_own_address_the_pod_has_the_word_and_nobody_else(port: int, expected: Protocol) -> None:
    """A headless Service's clients dial pods, too: which Service they mean, nobody can say."""
    headless = service(ips=("None",), ports=[{"port": port, "appProtocol": "http"}], opaque=str(port))
    serving = endpoint_slice(endpoint("10.244.0.5", pod="web-a"), ports=[{"name": "", "port": port}])
    others = namespace(opaque="1-65535")
    assert protocol(headless, serving, others, pod(opaque="3306"), ip="10.244.0.5", port=port) is expected


def test_an_endpoints_own_word_does_not_speak_for_its_service() -> None:
    serving = endpoint_slice(endpoint("10.244.0.5", pod="web-a"))
    cluster = Cluster(declared("http"), pod(opaque="8080"), serving)
    known = cluster.at("10.96.0.10", 80)
    assert known is not None
    assert (known.protocol, [one.opaque for one in known.endpoints.values()]) == (HTTP, [True])
