"""Port-forwarding through an API server, and a pod's certificate read through it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from injector.cli.outcome import CommandError
from injector.cli.wire import read_shown, shown_certificate
from injector.kube.errors import NotFound, Unreachable
from injector.kube.portforward import DATA, ERROR, PROTOCOL, forwarded
from tests.discovery.certificates import Root, spiffe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi

PATH = "/api/v1/namespaces/shop/pods/web/portforward"
PORT = (4143).to_bytes(2, "little")


@pytest.fixture
def pod(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the forwarded port leads to: the address put into the list, or nobody."""
    target: list[tuple[str, int]] = []
    plain = api.handle

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path != PATH:
            return await plain(request)
        assert request.query["ports"] == "4143"
        assert request.headers["Authorization"] == "Bearer a-token"
        socket = web.WebSocketResponse(protocols=[PROTOCOL])
        await socket.prepare(request)
        for channel in (DATA, ERROR):
            await socket.send_bytes(bytes((channel,)) + PORT)
        if not target:
            await socket.send_bytes(bytes((ERROR,)) + b"connection refused\n")
            return socket
        reader, writer = await asyncio.open_connection(*target[0])

        async def back() -> None:
            while data := await reader.read(999):
                await socket.send_bytes(bytes((DATA,)) + data)
            await socket.close()

        returning = asyncio.create_task(back())
        async for message in socket:
            assert message.data[0] == DATA
            writer.write(message.data[1:])
        writer.close()
        await returning
        return socket

    monkeypatch.setattr(api, "handle", handle)
    return target


@pytest.fixture
async def proxy(pod: list[tuple[str, int]], tmp_path: Path) -> AsyncIterator[Root]:
    """Something that shows a certificate and demands one, as the proxy does; its root."""
    root = Root()
    leaf = root.leaf([spiffe("shop", "web")])
    file = tmp_path / "leaf.pem"
    file.write_bytes(leaf.key + leaf.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.load_verify_locations(cadata=root.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    pod.append(server.sockets[0].getsockname()[:2])
    yield root
    server.close()


async def test_a_proxys_certificate_is_read_without_bringing_one(proxy: Root, kube: KubeClient) -> None:
    async with forwarded(kube, namespace="shop", pod="web", port=4143) as connection:
        shown = read_shown(await shown_certificate(connection), proxy.pem)
    assert shown.identities == (spiffe("shop", "web"),)
    assert shown.signed_by == proxy.fingerprint.hex()


async def test_another_issuer_is_not_the_meshs(proxy: Root, kube: KubeClient) -> None:
    async with forwarded(kube, namespace="shop", pod="web", port=4143) as connection:
        der = await shown_certificate(connection)
    assert read_shown(der, Root().pem).signed_by is None
    assert read_shown(der, b"").signed_by is None


async def test_a_port_that_nobody_listens_on_is_told_in_the_nodes_words(
    pod: list[tuple[str, int]], kube: KubeClient
) -> None:
    async with forwarded(kube, namespace="shop", pod="web", port=4143) as connection:
        with pytest.raises(Unreachable, match="4143 of pod shop/web: connection refused"):
            await connection.receive()


async def test_something_that_is_not_tls_is_told_apart(pod: list[tuple[str, int]], kube: KubeClient) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    pod.append(server.sockets[0].getsockname()[:2])
    async with server, forwarded(kube, namespace="shop", pod="web", port=4143) as connection:
        with pytest.raises(CommandError, match="not with TLS"):
            await shown_certificate(connection)


async def test_a_pod_that_is_not_there_is_not_found(kube: KubeClient) -> None:
    with pytest.raises(NotFound):
        async with forwarded(kube, namespace="shop", pod="web", port=4143):
            pass
