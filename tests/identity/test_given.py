"""An issuer that somebody else made and keeps: used when it is good, exchanged when it changes, and never touched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from grpc import aio

from tests.identity.house import begin
from tests.identity.world import PUBLIC, REQUEST, SECRET, request, user
from tests.kube.fake import encoded
from tests.pki.making import DAY, Made, make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.identity.house import House

WEB = "spiffe://cluster.local/ns/shop/sa/web"


def alive(title: str, by: Made | None = None, *, last: timedelta = 90 * DAY) -> Made:
    now = datetime.now(UTC)
    return make(title, by, begin=now - DAY, end=now + last)


@pytest.fixture
async def given(tmp_path: Path) -> AsyncIterator[House]:
    """A process that was told that roots and issuer are given; neither is there yet."""
    async with begin(tmp_path, "identity: {given: true}\n") as house:
        house.reviews.users["good"] = user("system:serviceaccount:shop:web")
        yield house


def put_roots(house: House, *roots: Made) -> None:
    house.api.put(PUBLIC, {"data": {"roots.pem": b"".join(root.pem for root in roots).decode()}})


def put_issuer(house: House, issuer: Made, *above: Made) -> None:
    chain = b"".join(each.pem for each in (issuer, *above))
    house.api.put(SECRET, {"type": "kubernetes.io/tls", "data": encoded(tls_crt=chain, tls_key=issuer.key)})


async def issuers(house: House, root: Made) -> list[x509.Certificate]:
    """The chain above a leaf that a pod gets now."""
    answer = await house.certify_patiently("good", request([WEB]), root.pem)
    return [x509.load_der_x509_certificate(each) for each in answer.chain[1:]]


async def test_an_issuer_below_an_intermediate_signs_and_its_successor_is_picked_up(given: House) -> None:
    root = alive("root")
    middle = alive("middle", root)
    first, second = alive("first", middle), alive("second", middle)
    put_roots(given, root)
    put_issuer(given, first, middle, root)
    await given.wait_ready()
    assert await issuers(given, root) == [first.certificate, middle.certificate]

    put_issuer(given, second, middle)

    async with asyncio.timeout(10):
        while await issuers(given, root) != [second.certificate, middle.certificate]:  # noqa: ASYNC110 - over the wire
            await asyncio.sleep(0.05)


async def test_it_keeps_its_hands_off_what_is_not_its_own(given: House) -> None:
    root = alive("root")
    issuer = alive("issuer", root, last=timedelta(hours=1))  # long due, were it ours
    put_roots(given, root)
    put_issuer(given, issuer)
    await given.wait_ready()
    before = given.api.objects[SECRET]["metadata"]["resourceVersion"]
    await issuers(given, root)
    assert given.api.objects[SECRET]["metadata"]["resourceVersion"] == before
    assert REQUEST not in given.api.objects
    assert {seen.method for seen in given.api.seen if "/leases" in seen.path} == set()


async def test_what_is_wrong_is_said_with_its_place_and_nothing_is_signed(given: House) -> None:
    root, other = alive("root"), alive("root")
    await given.says("waiting for the roots")
    put_roots(given, root)
    await given.says("Secret injector-identity-issuer has none yet")
    put_issuer(given, alive("late", root, last=-timedelta(hours=1)))
    await given.says("Secret injector-identity-issuer: the issuer's certificate has expired")
    put_issuer(given, alive("foreign", other))
    await given.says("that none of the 1 roots has signed")
    assert (await given.ready()).status_code == 503

    put_issuer(given, alive("issuer", root))  # the one thing to do, and no restart
    await given.wait_ready()


async def test_an_issuer_that_expires_while_it_serves_signs_no_more(given: House) -> None:
    root = alive("root")
    put_roots(given, root)
    put_issuer(given, alive("short", root, last=timedelta(seconds=4)))
    await given.wait_ready()

    await given.says("the issuer's certificate has expired")
    with pytest.raises(aio.AioRpcError) as refused:
        await given.certify("good", request([WEB]), root.pem)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
