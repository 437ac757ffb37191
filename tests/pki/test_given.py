"""Roots and issuers of somebody else: every fault is named, all at once."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given as drawn
from hypothesis import strategies as st

from injector.pki import faults_of_issuer, faults_of_roots, read_bundle, read_key, read_pair, same_key
from tests.pki.making import DAY, NOW, YEAR, Made, make

ROOT = make("root")
ISSUER = make("issuer", ROOT)
MIDDLE = make("middle", ROOT)
BELOW = make("below", MIDDLE)
RSA_ROOT = make("old root", key=rsa.generate_private_key(65537, 2048))


@pytest.mark.parametrize(
    ("chain", "key", "roots"),
    [
        (ISSUER.pem, ISSUER.key, ROOT.pem),
        (ISSUER.pem, ISSUER.key, make("another").pem + ROOT.pem),
        (ISSUER.pem + ROOT.pem, ISSUER.key, ROOT.pem),
        (BELOW.pem + MIDDLE.pem, BELOW.key, ROOT.pem),
        (ROOT.pem, ROOT.key, ROOT.pem),
        ((made := make("issuer", RSA_ROOT)).pem, made.key, RSA_ROOT.pem),
        ((made := make("issuer", ROOT, key=ec.generate_private_key(ec.SECP384R1()))).pem, made.key, ROOT.pem),
        ((made := make("issuer", ROOT, depth=0, signs=None)).pem, made.key, ROOT.pem),
    ],
    ids=["plain", "two-roots", "with-root", "intermediate", "root-itself", "rsa-root", "p-384", "no-usage"],
)
def test_good_issuers(chain: bytes, key: bytes, roots: bytes) -> None:
    assert faults_of_issuer(chain, key, roots, NOW) == []


def bad(issuer: Made, says: str, *, above: bytes = b"", roots: bytes = ROOT.pem) -> tuple[bytes, bytes, bytes, str]:
    return issuer.pem + above, issuer.key, roots, says


SHALLOW = make("shallow", depth=0)
NARROW = make("narrow", ROOT, depth=0)


@pytest.mark.parametrize(
    ("chain", "key", "roots", "says"),
    [
        (b"", ISSUER.key, ROOT.pem, "the issuer's certificate: expected PEM, got none"),
        (ISSUER.pem, b"", ROOT.pem, "the issuer's key: expected an elliptic-curve key"),
        (ISSUER.pem, RSA_ROOT.key, ROOT.pem, "the issuer's key: expected an elliptic-curve key"),
        (ISSUER.pem, BELOW.key, ROOT.pem, "the issuer's key is not that of its certificate"),
        bad(ISSUER, "the issuer's chain: expected at most 4 certificates, got 5", above=ROOT.pem * 4),
        bad(make("late", ROOT, end=NOW), "the issuer's certificate has expired at 2026-03-01 12:00 UTC"),
        bad(make("early", ROOT, begin=NOW + DAY), "is not valid before 2026-03-02 12:00 UTC"),
        bad(make("leaf", ROOT, ca=False), "expected a CA"),
        bad(make("old", ROOT, ca=None), "expected a CA"),
        bad(make("unsigning", ROOT, signs=False), "expected the key usage keyCertSign"),
        bad(make("odd", ROOT, key=ec.generate_private_key(ec.SECP256K1())), "expected P-256 or P-384, got secp256k1"),
        bad(ISSUER, "that none of the 1 roots has signed", roots=make("root").pem),
        bad(ISSUER, "that none of the 0 roots has signed", roots=b""),
        bad(BELOW, "certificate 1 of the issuer's chain is not signed by the next one", above=make("middle").pem),
        bad(
            make("below", NARROW), "certificate 2 of the issuer's chain: expected a path length of 1", above=NARROW.pem
        ),
        bad(make("issuer", SHALLOW), "expected a path length of 1 or more", roots=SHALLOW.pem),
    ],
)
def test_every_fault_is_named(chain: bytes, key: bytes, roots: bytes, says: str) -> None:
    found = faults_of_issuer(chain, key, roots, NOW)
    assert len(found) == 1
    assert says in found[0]


def test_all_faults_at_once() -> None:
    spoilt = make("spoilt", ca=False, end=NOW - DAY / 2)
    found = faults_of_issuer(spoilt.pem, ISSUER.key, ROOT.pem, NOW)
    assert len(found) == 4


def test_roots() -> None:
    assert faults_of_roots(ROOT.pem + RSA_ROOT.pem, NOW) == []
    assert faults_of_roots(b"", NOW) == ["the roots: expected at least one certificate as PEM, got none"]
    found = faults_of_roots(ROOT.pem + make("gone", end=NOW).pem, NOW)
    assert found == ["root 2 has expired at 2026-03-01 12:00 UTC"]
    assert len(faults_of_roots(ROOT.pem, NOW + 2 * YEAR)) == 1


PEMS = [ISSUER.pem, ISSUER.key, ROOT.pem, RSA_ROOT.key]


@drawn(st.sampled_from(PEMS), st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_damaged_material_is_judged_and_raises_nothing(pem: bytes, place: int, damage: bytes) -> None:
    place %= len(pem)
    spoilt = pem[:place] + damage + pem[place + len(damage) :]
    read_pair(spoilt, spoilt)
    read_bundle(spoilt)
    read_key(spoilt)
    same_key(spoilt, ISSUER.key)
    faults_of_roots(spoilt, NOW)
    faults_of_issuer(spoilt, ISSUER.key, ROOT.pem, NOW)
    faults_of_issuer(ISSUER.pem, spoilt, ROOT.pem, NOW)


@drawn(st.integers(0, 10_000), st.integers(0, 255))
def test_damaged_der_is_judged_and_raises_nothing(place: int, value: int) -> None:
    """Damage under the base64, where it reaches the parser of certificates."""
    der = bytearray(ISSUER.certificate.public_bytes(serialization.Encoding.DER))
    der[place % len(der)] = value
    spoilt = _pem(bytes(der))
    read_bundle(spoilt)
    same_key(spoilt, ISSUER.key)
    faults_of_issuer(spoilt, ISSUER.key, ROOT.pem, NOW)


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
