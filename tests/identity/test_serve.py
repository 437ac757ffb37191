"""The whole identity process over real TLS: a fresh cluster, a pod that is certified, every refusal, another issuer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import Mock

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from grpc import aio

from injector.identity import server
from injector.pki import SpiffeId, read_bundle, same_key
from injector.runtime.certified import Certified
from tests.identity.world import SECRET, request, secret_field, user
from tests.kube.fake import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.identity.house import House

WEB = SpiffeId("cluster.local", "shop", "web")


async def test_on_a_fresh_cluster_it_says_what_it_waits_for(begun: House) -> None:
    await begun.says("waiting for the roots")
    begun.controller.publish()
    await begun.says("has none yet")
    assert (await begun.ready()).status_code == 503
    begun.controller.sign()
    await begun.wait_ready()
    assert same_key(begun.controller.issuer.encode(), secret_field(begun.api, "tls.key"))
    assert secret_field(begun.api, "next.key") == b""


async def test_a_pod_gets_a_certificate_of_its_name(house: House) -> None:
    before = datetime.now(UTC)

    answer = await house.certify("good", request([str(WEB)], [WEB.dns_name or ""]))

    leaf, issuer = map(x509.load_der_x509_certificate, answer.chain)
    root = x509.load_pem_x509_certificate(house.controller.root.certificate.pem)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(WEB)]
    assert names.get_values_for_type(x509.DNSName) == ["web.shop.id.cluster.local"]
    assert int(leaf.not_valid_after_utc.timestamp()) == answer.not_after
    assert timedelta(minutes=9) < leaf.not_valid_after_utc - before < timedelta(minutes=11)
    assert before - leaf.not_valid_before_utc > timedelta(minutes=4)
    assert house.reviews.asked[-1] == {"token": "good", "audiences": ["identity.injector.mesh"]}


@pytest.mark.parametrize(
    ("token", "uris", "code", "reason"),
    [
        ("", [str(WEB)], grpc.StatusCode.UNAUTHENTICATED, "no-token"),
        ("x" * 9000, [str(WEB)], grpc.StatusCode.UNAUTHENTICATED, "token-too-long"),
        ("some-unknown-token", [str(WEB)], grpc.StatusCode.UNAUTHENTICATED, "token-not-accepted"),
        ("person", [str(WEB)], grpc.StatusCode.UNAUTHENTICATED, "not-a-service-account"),
        ("unbound", [str(WEB)], grpc.StatusCode.UNAUTHENTICATED, "not-bound-to-a-pod"),
        ("good", ["spiffe://cluster.local/ns/shop/sa/api"], grpc.StatusCode.INVALID_ARGUMENT, "wrong-names"),
        ("good", [], grpc.StatusCode.INVALID_ARGUMENT, "wrong-names"),
    ],
)
async def test_what_is_refused_is_counted_and_never_shows_the_token(
    monkeypatch: pytest.MonkeyPatch, house: House, token: str, uris: list[str], code: grpc.StatusCode, reason: str
) -> None:
    house.reviews.users["person"] = user("alice")
    house.reviews.users["unbound"] = user("system:serviceaccount:shop:web", pod="")
    log = Mock()
    monkeypatch.setattr(server, "log", log)

    with pytest.raises(aio.AioRpcError) as refused:
        await house.certify(token, request(uris))

    assert refused.value.code() is code
    assert f'injector_identity_refusals_total{{reason="{reason}"}} 1.0' in await house.metrics()
    said = str(log.mock_calls)
    assert f"reason='{reason}'" in said
    if len(token) > len("unbound"):
        assert token not in said + str(refused.value.details())


async def test_an_api_server_without_audiences_is_not_believed(house: House) -> None:
    house.reviews.audiences = []
    with pytest.raises(aio.AioRpcError) as refused:
        await house.certify("good", request([str(WEB)]))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_without_an_api_server_it_says_try_again(house: House) -> None:
    house.reviews.away = True
    with pytest.raises(aio.AioRpcError) as refused:
        await house.certify("good", request([str(WEB)]))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_pod_that_asks_without_end_is_held_back(house: House) -> None:
    codes = []
    for _ in range(15):
        try:
            await house.certify("good", request([str(WEB)]))
        except aio.AioRpcError as error:
            codes.append(error.code())
    assert codes
    assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}


async def test_when_another_issuer_is_wished_for_the_old_one_signs_until_it_is_there(house: House) -> None:
    first, asked = secret_field(house.api, "tls.key"), house.controller.asked
    house.controller.wanted = 1
    house.controller.publish()
    await until(lambda: house.controller.asked != asked, seconds=10)

    answer = await house.certify_patiently("good", request([str(WEB)]))
    assert answer.chain[1] == x509_der(house.controller.issuer)
    house.controller.sign()

    await until(lambda: secret_field(house.api, "tls.key") != first, seconds=10)
    await until(lambda: secret_field(house.api, "next.key") == b"", seconds=10)
    answer = await house.certify_patiently("good", request([str(WEB)]))
    assert answer.chain[1] == x509_der(house.controller.issuer)
    assert house.api.objects[SECRET]["metadata"]["annotations"]["injector.mesh/issuer-generation"] == "1"


def x509_der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)


async def test_a_part_of_the_mesh_gets_its_certificate_and_follows_another_issuer(house: House, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("part")
    (tmp_path / "roots.pem").write_bytes(house.controller.root.certificate.pem)
    house.reviews.users["part"] = user("system:serviceaccount:injector-system:injector-discovery")
    me = SpiffeId("cluster.local", "injector-system", "injector-discovery")
    # gRPC verifies the server's name, so the address may be anything that leads there.
    part = Certified(tmp_path, house.address, me)
    assert "waiting for a certificate" in str(part.fault())
    running = asyncio.create_task(part.run())
    try:
        async with asyncio.timeout(10):
            await part.material(None)
        assert part.fault() is None
        first = part.trust().not_after
        asked = house.controller.asked
        house.controller.wanted = 1
        house.controller.publish()
        await until(lambda: house.controller.asked != asked, seconds=10)
        house.controller.sign()
        await until(lambda: secret_field(house.api, "next.key") == b"", seconds=10)
        (issuer,) = read_bundle(house.controller.issuer.encode())
        await asyncio.sleep(1.1)  # so that its end, which has whole seconds, is another one
        part.wish(bytes.fromhex(issuer.id))
        await until(lambda: part.trust().not_after > first, seconds=10)
    finally:
        running.cancel()
