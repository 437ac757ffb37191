"""Asking the fleet over real gRPC: every replica, with what cannot be asked named."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.controller.roots import fleet as fleet_module
from injector.controller.roots.acknowledgements import Trusts
from injector.controller.roots.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from injector.pki import SpiffeId
    from tests.kube.fake import FakeApi

R1, R2, ISSUER, OTHER = (bytes([number]) * 32 for number in range(1, 5))
OWN = Trusts(frozenset({R1.hex()}), ISSUER.hex())


@dataclass
class Certificate:
    """The controller's, with nothing behind it: connections are not encrypted here."""

    trouble: str | None = None
    wished: bytes = b""
    servers: set[str] = field(default_factory=set)

    def fault(self) -> str | None:
        return self.trouble

    def wish(self, issuer: bytes) -> None:
        self.wished = issuer

    def trust(self) -> pb.Trust:
        return pb.Trust(roots=[R1], issuer=ISSUER)

    def channel(self, address: str, server: SpiffeId) -> aio.Channel:
        self.servers.add(str(server))
        return aio.insecure_channel(address)


def proxy(uid: str, roots: list[bytes], issuer: bytes) -> pb.ReportResponse.Proxy:
    return pb.ReportResponse.Proxy(namespace="shop", pod=uid, pod_uid=uid, trust=pb.Trust(roots=roots, issuer=issuer))


def replica(api: FakeApi, name: str, ip: str, **metadata: Any) -> None:
    labels = {"app.kubernetes.io/name": "injector-discovery"}
    item = {"metadata": {"labels": labels} | metadata, "status": {"phase": "Running", "podIP": ip}}
    api.put(f"/api/v1/namespaces/injector-system/pods/{name}", item)


@pytest.fixture
async def parts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[pb.ReportResponse]]:
    """What the one replica that answers says."""
    said: list[pb.ReportResponse] = []

    async def report(_: bytes, context: Any) -> None:
        for part in said:
            await context.write(part.SerializeToString())

    handler: Any = grpc.unary_stream_rpc_method_handler(report)
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(methods.FLEET, {"Report": handler}),))
    monkeypatch.setattr(fleet_module, "PORT", server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    yield said
    await server.stop(0)


async def test_reports_of_all_replicas_are_one(kube: KubeClient, api: FakeApi, parts: list[pb.ReportResponse]) -> None:
    replica(api, "d-1", "127.0.0.1")
    replica(api, "going", "127.0.0.9", deletionTimestamp="2026-01-01T00:00:00Z")
    mine = pb.ReportResponse.Proxy(namespace="injector-system", pod="d-1", trust=pb.Trust(roots=[R2], issuer=OTHER))
    parts.append(pb.ReportResponse(proxies=[mine, proxy("u1", [R1], ISSUER)]))
    parts.append(pb.ReportResponse(proxies=[proxy("u2", [R1, R2], OTHER)]))
    certificate = Certificate()
    fleet = Fleet(kube, "injector-system", "cluster.local", certificate, "me")
    heard = await fleet.hear()
    assert heard.proxies == {
        ("shop", "u1"): Trusts(frozenset({R1.hex()}), ISSUER.hex()),
        ("shop", "u2"): Trusts(frozenset({R1.hex(), R2.hex()}), OTHER.hex()),
    }
    assert heard.parts == {
        "injector-system/me": OWN,
        "injector-system/d-1": Trusts(frozenset({R2.hex()}), OTHER.hex()),
    }
    assert certificate.servers == {"spiffe://cluster.local/ns/injector-system/sa/injector-discovery"}
    fleet.wish(OTHER.hex())
    assert certificate.wished == OTHER


async def test_a_proxy_in_two_reports_counts_for_what_both_say(
    kube: KubeClient, api: FakeApi, parts: list[pb.ReportResponse]
) -> None:
    replica(api, "d-1", "127.0.0.1")
    parts.append(pb.ReportResponse(proxies=[proxy("u1", [R1, R2], ISSUER), proxy("u1", [R1], OTHER)]))
    heard = await Fleet(kube, "injector-system", "cluster.local", Certificate(), "me").hear()
    assert heard.proxies == {("shop", "u1"): Trusts(frozenset({R1.hex()}), "")}
    assert heard.parts["injector-system/d-1"] == "does not say what it accepts"


async def test_a_replica_that_cannot_be_asked_is_named_with_the_reason(
    kube: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setattr(fleet_module, "PORT", closed.getsockname()[1])
    replica(api, "d-1", "127.0.0.1")
    heard = await Fleet(kube, "injector-system", "cluster.local", Certificate(), "me").hear()
    said = heard.parts["injector-system/d-1"]
    assert isinstance(said, str)
    assert said.startswith("cannot be asked: UNAVAILABLE")


async def test_without_a_certificate_of_its_own_nobody_is_asked(kube: KubeClient, api: FakeApi) -> None:
    replica(api, "d-1", "127.0.0.1")
    heard = await Fleet(kube, "injector-system", "cluster.local", Certificate("no issuer answers"), "me").hear()
    assert heard.proxies == {}
    assert heard.parts == {
        "injector-system/me": "no issuer answers",
        "injector-system/d-1": "the controller has no certificate to ask with",
    }
