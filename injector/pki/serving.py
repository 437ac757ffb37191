"""The webhook's certificates: a CA of its own, and the serving certificate that API servers verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from injector.pki.certificates import BACKDATE, Pair, builder, pair, usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta


def make_authority(now: datetime, lifetime: timedelta) -> Pair:
    """A new self-signed CA that may sign leaves and nothing below."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"injector webhook CA {now:%Y-%m-%d}")])
    made = (
        builder(name, name, key.public_key(), now - BACKDATE, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
    )
    return pair(made.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, names: Iterable[str], now: datetime, lifetime: timedelta) -> Pair:
    """A serving certificate for DNS `names`; it never outlives its CA."""
    names = sorted(names)
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.key, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - `read_pair` accepts no other
    issuer = x509.load_pem_x509_certificate(authority.certificate.pem)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "injector-webhook")])
    end = min(now + lifetime, authority.certificate.not_after)
    made = (
        builder(subject, issuer.subject, key.public_key(), now - BACKDATE, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    return pair(made.sign(signer, hashes.SHA256()), key)
