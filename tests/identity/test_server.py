"""The issuer's port against clients that are wrong; and an issuer exchanged under load."""

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

from tests.identity.house import SERVER_NAME
from tests.identity.world import request, secret_field, user
from tests.kube.fake import until

if TYPE_CHECKING:
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
            answer = await house.certify(token, request([WEB]))
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
