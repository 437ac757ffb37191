"""Roots and issuers: what they may, and which requests nobody signs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from injector.pki import RequestError, faults_of_issuer, faults_of_roots, issuer_request, make_root, new_key
from injector.pki import sign_issuer as sign
from tests.pki.making import DAY, NOW, YEAR, name

ROOT = make_root(NOW, 10 * YEAR)


def parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *extensions: x509.ExtensionType) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("injector issuer"))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_root_has_room_for_one_level_of_issuers() -> None:
    root = parsed(ROOT.certificate.pem)
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 1)
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    assert root.not_valid_after_utc == NOW + 10 * YEAR
    assert faults_of_roots(ROOT.certificate.pem, NOW) == []


def test_an_issuer_signs_leaves_and_nothing_below() -> None:
    key = new_key()
    pem = sign(ROOT, issuer_request(key, NOW), NOW, YEAR)
    issuer = parsed(pem)
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(
        ca=True, path_length=0
    )
    usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert issuer.not_valid_after_utc == NOW + YEAR
    assert "injector issuer 2026-03-01" in issuer.subject.rfc4514_string()
    assert faults_of_issuer(pem, key, ROOT.certificate.pem, NOW) == []


def test_an_issuer_never_outlives_its_root() -> None:
    root = make_root(NOW, 2 * DAY)
    issuer = parsed(sign(root, issuer_request(new_key(), NOW), NOW, YEAR))
    assert issuer.not_valid_after_utc == root.certificate.not_after


def test_of_a_request_only_name_and_key_are_taken() -> None:
    wish = x509.BasicConstraints(ca=True, path_length=5)
    names = x509.SubjectAlternativeName([x509.DNSName("kubernetes.default.svc")])
    issuer = parsed(sign(ROOT, csr(ec.generate_private_key(ec.SECP256R1()), wish, names), NOW, YEAR))
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    with pytest.raises(x509.ExtensionNotFound):
        issuer.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_serial_numbers_are_random() -> None:
    request = issuer_request(new_key(), NOW)
    serials = {parsed(sign(ROOT, request, NOW, YEAR)).serial_number for _ in range(20)}
    assert len(serials) == 20
    assert max(serials) > 2**64


def spoilt(pem: bytes) -> bytes:
    """The request with one bit of its signature, the last of its bytes, turned round."""
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("request_pem", "says"),
    [
        (b"", "expected PKCS 10"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "expected PKCS 10"),
        (ROOT.certificate.pem, "expected PKCS 10"),
        (b"x" * 5000, "at most 4096 bytes, got 5000"),
        (csr(ec.generate_private_key(ec.SECP384R1())), "expected P-256"),
        (csr(rsa.generate_private_key(65537, 2048)), "expected P-256"),
        (spoilt(issuer_request(new_key(), NOW)), "signature"),
    ],
)
def test_requests_that_nobody_signs(request_pem: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        sign(ROOT, request_pem, NOW, timedelta(days=1))
