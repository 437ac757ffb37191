"""Certificates as PEM: making them, and reading back what a Secret holds, which anybody may have damaged.

ECDSA on P-256: every client accepts it, and a handshake costs a tenth of RSA's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

# Certificates begin to be valid this long before they are made, for API servers whose clock is behind ours.
BACKDATE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of a certificate. `id` is the SHA-256 of its DER form; `pem` is in one normal form."""

    id: str
    pem: bytes
    not_before: datetime
    not_after: datetime
    names: frozenset[str] = frozenset()

    @property
    def made(self) -> datetime:
        """When it was made, as far as its dates tell."""
        return self.not_before + BACKDATE

    def valid(self, now: datetime) -> bool:
        """Whether a client with this clock accepts its dates."""
        return self.not_before <= now < self.not_after


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key (PKCS 8, PEM); `repr` is silent on the key, because reprs end up in logs."""

    certificate: Certificate
    key: bytes

    def __repr__(self) -> str:
        return f"Pair({self.certificate.id})"


def make_authority(now: datetime, lifetime: timedelta) -> Pair:
    """A new self-signed CA that may sign leaves and nothing below."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"injector webhook CA {now:%Y-%m-%d}")])
    builder = (
        _builder(name, name, key, now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, names: Iterable[str], now: datetime, lifetime: timedelta) -> Pair:
    """A serving certificate for DNS `names`; it never outlives its CA."""
    names = sorted(names)
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.key, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - `read_pair` accepts no other
    issuer = x509.load_pem_x509_certificate(authority.certificate.pem)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "injector-webhook")])
    end = min(now + lifetime, authority.certificate.not_after)
    builder = (
        _builder(subject, issuer.subject, key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def read_pair(certificate: bytes | None, key: bytes | None) -> Pair | None:
    """The pair, or None where either is missing, damaged, of another kind than ours, or not the other's."""
    if certificate is None or key is None:
        return None
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or parsed.public_key() != private.public_key():
        return None
    return Pair(_facts(parsed), key)


def read_bundle(pem: bytes) -> tuple[Certificate, ...]:
    """The certificates of a bundle; none where it is not one."""
    try:
        return tuple(_facts(parsed) for parsed in x509.load_pem_x509_certificates(pem))
    except ValueError:
        return ()


def signed_by(leaf: Certificate, authority: Certificate) -> bool:
    """Whether the authority's key made the leaf's signature."""
    try:
        parsed = x509.load_pem_x509_certificate(leaf.pem)
        parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(_facts(certificate), encoded)


def _facts(parsed: x509.Certificate) -> Certificate:
    try:
        alternative = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = frozenset(alternative.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = frozenset()
    return Certificate(
        id=hashlib.sha256(parsed.public_bytes(serialization.Encoding.DER)).hexdigest(),
        pem=parsed.public_bytes(serialization.Encoding.PEM),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        names=names,
    )
