"""A root, an issuer under it, and one leaf for each end, all ECDSA on P-256: what every peer is given."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

CLIENT, SERVER = "client", "server"
_LIFE = datetime.timedelta(days=2)


def server_name(end: str) -> str:
    """The DNS name in an end's certificate; the example `tls_pair` knows the server's, too."""
    return f"{end}.bench.id.cluster.local"


def write(directory: Path) -> None:
    """Give each end a directory with chain.pem (leaf, then issuer), key.pem, roots.pem, and both for HAProxy."""
    root_key, issuer_key = _key(), _key()
    root = _certificate("root", root_key.public_key(), "root", root_key, authority=True)
    issuer = _certificate("issuer", issuer_key.public_key(), "root", root_key, authority=True)
    for end in (CLIENT, SERVER):
        own = directory / end
        own.mkdir(parents=True, exist_ok=True)
        key = _key()
        chain = _pem(_certificate(end, key.public_key(), "issuer", issuer_key, authority=False)) + _pem(issuer)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        for name, text in {"chain": chain, "key": secret, "roots": _pem(root), "both": chain + secret}.items():
            (own / f"{name}.pem").write_text(text)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    signed_by: str,
    signing: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(signed_by))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if not authority:
        names: list[x509.GeneralName] = [
            x509.DNSName(server_name(subject)),
            x509.UniformResourceIdentifier(f"spiffe://cluster.local/ns/bench/sa/{subject}"),
        ]
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(signing, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
