"""Certificate requests against who asks: its own name and P-256, and nothing else."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from injector.identity.refusals import Reason, Refused
from injector.identity.requests import key_of
from injector.pki import SpiffeId
from tests.identity.world import request

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

WEB = SpiffeId("cluster.local", "shop", "web")
URI, DNS = str(WEB), "web.shop.id.cluster.local"
OWN = ec.generate_private_key(ec.SECP256R1())


def csr(key: Key, *names: x509.GeneralName) -> bytes:
    alternative = x509.SubjectAlternativeName(names or [x509.UniformResourceIdentifier(URI)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signed = builder.add_extension(alternative, critical=True).sign(key, algorithm)
    return signed.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("dns", [[], [DNS]])
def test_a_good_request(dns: list[str]) -> None:
    assert key_of(request([URI], dns, OWN), WEB) == OWN.public_key()


def test_an_account_without_a_dns_name() -> None:
    long = SpiffeId("cluster.local", "shop", "w" * 64)
    assert key_of(request([str(long)], (), OWN), long) == OWN.public_key()
    with pytest.raises(Refused):
        key_of(request([str(long)], [f"{'w' * 64}.shop.id.cluster.local"], OWN), long)


@pytest.mark.parametrize(
    ("uris", "dns"),
    [
        ([], []),
        ([], [DNS]),
        ([URI, URI], []),
        ([URI, "spiffe://cluster.local/ns/shop/sa/api"], []),
        (["spiffe://other.domain/ns/shop/sa/web"], []),
        ([URI.upper()], []),
        ([URI + "/"], []),
        ([URI], ["api.shop.id.cluster.local"]),
        ([URI], [DNS, DNS]),
        ([URI], [DNS, "kubernetes.default.svc"]),
        ([URI], ["*.shop.id.cluster.local"]),
    ],
)
def test_other_names(uris: list[str], dns: list[str]) -> None:
    with pytest.raises(Refused, match="the names: expected") as refused:
        key_of(request(uris, dns), WEB)
    assert refused.value.reason is Reason.WRONG_NAMES


def test_names_of_another_kind() -> None:
    with pytest.raises(Refused) as refused:
        key_of(csr(OWN, x509.UniformResourceIdentifier(URI), x509.RFC822Name("web@shop")), WEB)
    assert refused.value.reason is Reason.WRONG_NAMES


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["p-384", "secp256k1", "rsa", "ed25519"],
)
def test_other_keys(key: Key) -> None:
    with pytest.raises(Refused, match="the key: expected P-256") as refused:
        key_of(csr(key), WEB)
    assert refused.value.reason is Reason.WRONG_KEY


def test_a_key_that_is_not_the_askers() -> None:
    spoilt = bytearray(request([URI], key=OWN))
    spoilt[-1] ^= 1
    with pytest.raises(Refused) as refused:
        key_of(bytes(spoilt), WEB)
    assert refused.value.reason is Reason.WRONG_SIGNATURE


def test_all_faults_at_once() -> None:
    wrong = csr(ec.generate_private_key(ec.SECP384R1()), x509.DNSName("kubernetes.default.svc"))
    with pytest.raises(Refused, match=r"the key: .*; the names: .*kubernetes\.default\.svc"):
        key_of(wrong, WEB)


def test_what_is_asked_for_beyond_names_is_not_given() -> None:
    """Only the key leaves this function, so a wish for CA rights ends here."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)]), critical=False)
    der = builder.sign(OWN, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert key_of(der, WEB) == OWN.public_key()


def test_a_message_quotes_little_of_what_came() -> None:
    with pytest.raises(Refused) as refused:
        key_of(request([f"spiffe://x/{'y' * 2000}"]), WEB)
    assert len(str(refused.value)) < 600


def test_too_large() -> None:
    with pytest.raises(Refused, match="at most 4096 bytes, got 4097") as refused:
        key_of(b"\x30" * 4097, WEB)
    assert refused.value.reason is Reason.TOO_LARGE


GOOD = request([URI], [DNS], OWN)


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda place, value: GOOD[:place] + bytes([value]) + GOOD[place + 1 :],
        st.integers(0, len(GOOD) - 1),
        st.integers(0, 255),
    )
)
def test_whatever_comes_is_the_key_of_a_good_request_or_refused(der: bytes) -> None:
    try:
        key = key_of(der, WEB)
    except Refused:
        return
    # ECDSA proves that whoever made the request has the key, and every other byte is signed.
    assert key == OWN.public_key()
