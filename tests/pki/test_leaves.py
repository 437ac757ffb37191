"""Leaves: exactly the names of their subject, for both ends of a handshake, and never longer than their issuer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from injector.pki import Leaf, Signer, SpiffeId, issuer_request, make_root, new_key, read_signer, sign_issuer
from tests.pki.making import DAY, NOW, YEAR, make

WEB = SpiffeId("cluster.local", "shop", "web")
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
ROOT = make_root(NOW, 10 * YEAR)


def signer(lifetime: timedelta = YEAR) -> Signer:
    key = new_key()
    found = read_signer(sign_issuer(ROOT, issuer_request(key, NOW), NOW, lifetime), key)
    assert found is not None
    return found


SIGNER = signer()


def first(leaf: Leaf) -> x509.Certificate:
    return x509.load_der_x509_certificate(leaf.chain[0])


def test_what_a_leaf_says() -> None:
    made = SIGNER.issue(WEB, KEY, NOW, DAY)
    leaf = first(made)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.UniformResourceIdentifier(str(WEB)), x509.DNSName("web.shop.id.cluster.local")]
    assert names.critical  # the subject field is empty (RFC 5280, section 4.2.1.6)
    assert not list(leaf.subject)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
    purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.public_key() == KEY
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (NOW - timedelta(minutes=5), NOW + DAY)
    assert (made.not_before, made.not_after) == (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    assert len(made.chain) == 2


def test_an_independent_verifier_accepts_the_chain() -> None:
    chain = [x509.load_der_x509_certificate(each) for each in SIGNER.issue(WEB, KEY, NOW, DAY).chain]
    store = Store([x509.load_pem_x509_certificate(ROOT.certificate.pem)])
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName("web.shop.id.cluster.local"))
    assert len(verifier.verify(chain[0], chain[1:])) == 3


def test_a_name_that_dns_has_no_room_for_leaves_the_uri_alone() -> None:
    long = SpiffeId("cluster.local", "shop", "w" * 64)
    names = first(SIGNER.issue(long, KEY, NOW, DAY)).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.UniformResourceIdentifier(str(long))]


@given(
    st.timedeltas(timedelta(), 2 * YEAR),
    st.timedeltas(timedelta(seconds=1), YEAR),
)
def test_a_leaf_lies_within_its_issuer(after: timedelta, lifetime: timedelta) -> None:
    # An expired issuer is refused before it comes to signing (faults_of_issuer).
    now = min(NOW + after, SIGNER.certificate.not_after - timedelta(seconds=1)).replace(microsecond=0)
    leaf = SIGNER.issue(WEB, KEY, now, lifetime)
    assert SIGNER.certificate.not_before <= leaf.not_before <= now < leaf.not_after + timedelta(seconds=1)
    assert leaf.not_after <= min(SIGNER.certificate.not_after, now + lifetime)


def test_the_chain_never_has_the_root_but_always_the_issuer() -> None:
    top = make("top")
    middle = make("middle", top)
    issuer = make("issuer", middle)

    below = read_signer(issuer.pem + middle.pem + top.pem, issuer.key)
    alone = read_signer(top.pem, top.key)

    assert below is not None
    assert alone is not None
    assert below.issue(WEB, KEY, NOW, DAY).chain[1:] == tuple(
        each.certificate.public_bytes(serialization.Encoding.DER) for each in (issuer, middle)
    )
    # Who gets a leaf takes the second certificate for its issuer's, to follow rotations by.
    assert alone.issue(WEB, KEY, NOW, DAY).chain[1:] == (top.certificate.public_bytes(serialization.Encoding.DER),)


@pytest.mark.parametrize(
    ("chain", "key"), [(b"", new_key()), (ROOT.certificate.pem, b""), (ROOT.certificate.pem, new_key())]
)
def test_what_is_no_pair_signs_nothing(chain: bytes, key: bytes) -> None:
    assert read_signer(chain, key) is None


def test_the_key_is_in_no_repr() -> None:
    assert "PrivateKey" not in repr(SIGNER)
    assert ROOT.key.decode() not in repr(ROOT)
