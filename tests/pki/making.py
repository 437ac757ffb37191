"""Certificates of every kind that somebody may hand us, made as OpenSSL or cert-manager would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)


class Made:
    """A certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key: Key) -> None:
        self.certificate = certificate
        self.private = key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self.private.private_bytes(*form)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(
    title: str,
    by: Made | None = None,
    *,
    key: Key | None = None,
    ca: bool | None = True,
    depth: int | None = None,
    signs: bool | None = True,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + YEAR,
) -> Made:
    """A certificate signed `by` another one, or by itself; None for `ca` or `signs` leaves the extension out."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    issuer = by.certificate.subject if by else name(title)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(title))
        .issuer_name(issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=depth), critical=True)
    if signs is not None:
        words = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        usage = dict.fromkeys(f"{words} crl_sign encipher_only decipher_only".split(), False)
        usage["digital_signature"] = not signs
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=signs, **usage), critical=True)
    return Made(builder.sign(by.private if by else own, hashes.SHA256()), own)
