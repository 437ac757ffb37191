"""The whole discovery process against a fake API server and an issuer: not ready, certified, serving, drained."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.discovery.config import DiscoveryConfig
from injector.discovery.serve import serve
from injector.runtime.errors import StartupError
from tests.discovery.certificates import SERVER_NAME, Root, channel_credentials, spiffe
from tests.discovery.conftest import Proxy, address, subscribe
from tests.discovery.objects import endpoint, endpoint_slice, node, pod, service
from tests.kube.fake import FakeApi, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ISSUER_NAME = "injector-identity.injector-system.id.cluster.local"
IDENTITY = "/api/v1/namespaces/injector-system/configmaps/injector-identity"


@asynccontextmanager
async def issuer(root: Root) -> AsyncIterator[int]:
    """Signs whatever it is asked to; its port."""

    async def certify(request: pb.CertifyRequest, _: Any) -> pb.CertifyResponse:
        asked = x509.load_der_x509_csr(request.csr)
        leaf = root.sign(asked)
        chain = [each.public_bytes(Encoding.DER) for each in (leaf, root.certificate)]
        return pb.CertifyResponse(chain=chain, not_after=int(leaf.not_valid_after_utc.timestamp()))

    own = root.leaf([spiffe("injector-system", "injector-identity")], [ISSUER_NAME])
    handler: Any = grpc.unary_unary_rpc_method_handler(
        certify,
        request_deserializer=pb.CertifyRequest.FromString,
        response_serializer=pb.CertifyResponse.SerializeToString,
    )
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(methods.IDENTITY, {"Certify": handler}),))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(own.key, own.certificate)]))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def fetch(port: int, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(ask)


async def said(port: int, path: str, text: str) -> None:
    """Wait until a page holds the text."""
    async with asyncio.timeout(15):
        while text not in (await fetch(port, path))[1]:
            pass


@pytest.fixture
def config(tmp_path: Path) -> DiscoveryConfig:
    (tmp_path / "installation.yaml").write_text("proxyImage: registry.example/proxy:1\n")
    (tmp_path / "token").write_text("a token")
    return DiscoveryConfig(
        installation=tmp_path / "installation.yaml",
        host="127.0.0.1",
        port=free_port(),
        admin_port=free_port(),
        kubeconfig=tmp_path / "kubeconfig",
        token_directory=tmp_path,
        drain_delay_seconds=0.2,
        drain_seconds=0.2,
    )


async def test_from_not_ready_to_certified_to_serving_to_drained(config: DiscoveryConfig, tmp_path: Path) -> None:
    api, root = FakeApi(), Root()
    api.put("/api/v1/nodes/node-1", node())
    api.put("/api/v1/namespaces/shop/services/web", service())
    api.put("/api/v1/namespaces/shop/pods/web-a", pod())
    slices = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
    api.put(f"{slices}/web-1", endpoint_slice(endpoint("10.244.0.5", pod="web-a")))
    api.put(IDENTITY, {"data": {"issuer.crt": root.pem.decode()}})
    async with issuer(root) as issuer_port, serving(api, tmp_path):
        task = asyncio.create_task(serve(replace(config, identity_address=f"127.0.0.1:{issuer_port}")))
        await said(config.admin_port, "/readyz", "roots.pem")
        assert (await fetch(config.admin_port, "/livez"))[0] == 200
        (tmp_path / "roots.pem").write_bytes(root.pem)
        await said(config.admin_port, "/readyz", "ok")

        credentials = channel_credentials(root, root.pod("shop", "web"))
        options = [("grpc.ssl_target_name_override", SERVER_NAME)]
        async with aio.secure_channel(f"127.0.0.1:{config.port}", credentials, options) as channel:
            call: Any = channel.stream_stream(
                methods.WATCH,
                request_serializer=pb.WatchRequest.SerializeToString,
                response_deserializer=pb.WatchResponse.FromString,
            )()
            proxy = Proxy(call)
            told = await proxy.hello()
            assert told.zone == "zone-a"
            assert told.issuer == root.fingerprint
            assert told.renew_within_seconds == 10, "a small fleet is through in seconds"
            await proxy.send(subscribe(address("10.96.0.10", 80)))
            [found] = (await proxy.destination()).endpoints.endpoints
            assert found.mesh == pb.Mesh(namespace="shop", service_account="web")
            assert found.zone == "zone-a"
            api.put("/api/v1/namespaces/shop", {"metadata": {"annotations": {"injector.mesh/opaque-ports": "80"}}})
            assert (await proxy.destination()).endpoints.protocol == pb.OPAQUE
            api.remove("/api/v1/namespaces/shop/pods/web-a")
            assert not (await proxy.destination()).endpoints.endpoints
            other = Root()
            api.put(IDENTITY, {"data": {"issuer.crt": other.pem.decode()}})
            assert (await proxy.receive()).parameters.issuer == other.fingerprint

            metrics = (await fetch(config.admin_port, "/metrics"))[1]
            assert "injector_discovery_streams 1.0" in metrics
            assert 'injector_discovery_synced{kind="EndpointSlice"} 1.0' in metrics
            os.kill(os.getpid(), signal.SIGTERM)
            await said(config.admin_port, "/readyz", "shutting down")
            assert (await proxy.end())[0] is grpc.StatusCode.OK
        await asyncio.wait_for(task, 10)


async def test_a_port_that_is_taken_ends_the_process_with_a_sentence(config: DiscoveryConfig, tmp_path: Path) -> None:
    api, root = FakeApi(), Root()
    (tmp_path / "roots.pem").write_bytes(root.pem)
    with socket.create_server(("127.0.0.1", config.admin_port)), pytest.raises(StartupError) as failed:
        async with serving(api, tmp_path):
            await serve(config)
    assert str(config.admin_port) in str(failed.value)
    with socket.create_server(("127.0.0.1", config.port)):
        async with issuer(root) as issuer_port, serving(api, tmp_path):
            with pytest.raises(StartupError) as taken:
                await asyncio.wait_for(serve(replace(config, identity_address=f"127.0.0.1:{issuer_port}")), 15)
    assert str(config.port) in str(taken.value)
