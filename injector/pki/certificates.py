"""Certificates and keys as PEM: what matters of one, and reading back what a Secret holds, which anybody may have
damaged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Certificates begin to be valid this long before they are made, for clients whose clock is behind ours.
BACKDATE = timedelta(hours=1)

# What the parser raises on what it cannot read. Not all of it is a ValueError: an algorithm that it does not know, an
# extension that comes twice, a name of a kind that it does not know.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


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


def fingerprint(certificate: Certificate) -> bytes:
    """The 32 bytes of the SHA-256 of its DER form, as the contract with the proxy has it."""
    return bytes.fromhex(certificate.id)


def read_pair(certificate: bytes | None, key: bytes | None) -> Pair | None:
    """The pair, or None where either is missing, damaged, of another kind than ours, or not the other's."""
    if certificate is None or key is None:
        return None
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or parsed.public_key() != private.public_key():
            return None
        return Pair(facts(parsed), key)
    except UNREADABLE:
        return None


def read_bundle(pem: bytes) -> tuple[Certificate, ...]:
    """The certificates of a bundle; none where it is not one."""
    try:
        return tuple(facts(parsed) for parsed in x509.load_pem_x509_certificates(pem))
    except UNREADABLE:
        return ()


def signed_by(leaf: Certificate, authority: Certificate) -> bool:
    """Whether the authority's key made the leaf's signature."""
    try:
        parsed = x509.load_pem_x509_certificate(leaf.pem)
        parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem))
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def new_key() -> bytes:
    """A private key, P-256: every client accepts it, and a handshake costs a tenth of RSA's."""
    return encoded(ec.generate_private_key(ec.SECP256R1()))


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    """An elliptic-curve key, or None where it is missing, damaged or of another kind."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except UNREADABLE:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def same_key(certificate_pem: bytes, key: bytes) -> bool:
    """Whether the first certificate is for this private key."""
    private = read_key(key)
    try:
        return private is not None and (
            x509.load_pem_x509_certificate(certificate_pem).public_key() == private.public_key()
        )
    except UNREADABLE:
        return False


def encoded(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PKCS 8, PEM."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form)


def pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    """Both, as they are kept."""
    return Pair(facts(certificate), encoded(key))


def builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begin: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    """What every certificate has; the serial number is random (RFC 5280, section 4.1.2.2)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What the key is for: signing certificates, or handshakes and nothing else."""
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


def facts(parsed: x509.Certificate) -> Certificate:
    """What matters of a parsed certificate."""
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
