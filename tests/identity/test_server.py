"""The issuer's port against clients that are wrong, slow or many; and an issuer exchanged under load."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import aio

from injector.identity import server
from tests.identity.house import SERVER_NAME, begin
from tests.identity.world import request, secret_field, user
from tests.kube.fake import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.identity.house import House

WEB = "spiffe://cluster.local/ns/shop/sa/web"


async def refused(house: House, token: str, csr: bytes) -> grpc.StatusCode:
    with pytest.raises(aio.AioRpcError) as error:
        await house.certify(token, csr)
    return error.value.code()


async def test_other_keys_and_sizes_are_refused(house: House) -> None:
    p384 = request([WEB], key=ec.generate_private_key(ec.SECP384R1()))
    assert await refused(house, "good", p384) is grpc.StatusCode.INVALID_ARGUMENT
    assert await refused(house, "good", b"x" * 5000) is grpc.StatusCode.INVALID_ARGUMENT
    # Above what a message may have it is not even read, and nobody is asked about its token.
    reviews = len(house.reviews.asked)
    assert await refused(house, "good", b"x" * 20_000) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(house.reviews.asked) == reviews


async def test_whoever_goes_before_the_answer_is_charged_for_it(house: House) -> None:
    house.api.delay = 0.3  # the API server's, for the review of the token
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await house.certify("forged", request([WEB]))
    await asyncio.sleep(0.5)
    house.api.delay = 0.0
    assert 'injector_identity_refusals_total{reason="gone"} 3.0' in await house.metrics()


def handshake(house: House, version: ssl.TLSVersion) -> str | None:
    """The version that a client with no other gets."""
    context = ssl.create_default_context(cadata=house.controller.root.certificate.pem.decode())
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", house.config.port), 5) as tcp,
        context.wrap_socket(tcp, server_hostname=SERVER_NAME) as tls,
    ):
        return tls.version()


async def test_it_speaks_tls_1_3_and_nothing_older(house: House) -> None:
    assert await asyncio.to_thread(handshake, house, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(handshake, house, ssl.TLSVersion.TLSv1_2)


async def test_connections_are_bounded_and_room_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"grpc.max_allowed_incoming_connections": 3, "grpc.server_handshake_timeout_ms": 1000}
    monkeypatch.setattr(server, "OPTIONS", tuple((dict(server.OPTIONS) | few).items()))
    async with begin(tmp_path) as house:
        house.controller.publish()
        await until(lambda: house.controller.asked, seconds=10)
        house.controller.sign()
        await house.wait_ready()
        house.reviews.users["good"] = user("system:serviceaccount:shop:web")

        silent = [socket.create_connection(("127.0.0.1", house.config.port)) for _ in range(6)]
        try:
            closed = await asyncio.to_thread(lambda: [_ended(each, 0.5) for each in silent])
            assert sum(closed) >= 3
            # Those that say nothing lose their places, and a pod gets its certificate.
            async with asyncio.timeout(10):
                while True:
                    try:
                        await house.certify("good", request([WEB]))
                        break
                    except aio.AioRpcError:
                        await asyncio.sleep(0.2)
        finally:
            for each in silent:
                each.close()


def _ended(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def test_nobody_notices_that_the_issuer_is_exchanged(house: House) -> None:
    """Pods ask all the while; each gets a chain that the root has signed, first of the old issuer, then of the new."""
    before, asked = house.controller.issuer, house.controller.asked
    seen: list[bytes] = []
    ended = asyncio.Event()

    async def pods(first: int) -> None:
        number = first
        while not ended.is_set():
            token = f"token-{number}"
            house.reviews.users[token] = user("system:serviceaccount:shop:web", pod=token, uid=f"uid-{number}")
            answer = await house.certify_patiently(token, request([WEB]))
            leaf, issuer = map(x509.load_der_x509_certificate, answer.chain)
            leaf.verify_directly_issued_by(issuer)
            seen.append(answer.chain[1])
            number += 1
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        for worker in range(2):
            group.create_task(pods(worker * 1000))
        await until(lambda: len(seen) > 4, seconds=10)
        house.controller.wanted = 1
        house.controller.publish()
        await until(lambda: house.controller.asked != asked, seconds=10)
        house.controller.sign()
        await until(lambda: secret_field(house.api, "next.key") == b"", seconds=10)
        there = len(seen)
        await until(lambda: len(seen) > there + 4, seconds=10)
        ended.set()

    old, new = (x509.load_pem_x509_certificate(pem.encode()) for pem in (before, house.controller.issuer))
    kinds = [x509.load_der_x509_certificate(each) for each in seen]
    assert (kinds[0], kinds[-1]) == (old, new)
    assert set(kinds) == {old, new}
