"""The mesh's CA: a root that signs issuers, and an issuer that signs leaves. Their keys are in different hands, so the
issuer asks by a request, and the root's holder never sees its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from injector.pki.certificates import BACKDATE, UNREADABLE, Pair, builder, pair, read_key, usage

if TYPE_CHECKING:
    from datetime import datetime, timedelta

MOST_REQUEST_BYTES = 4096
"""A request of ours has some 400 bytes of PEM."""


class RequestError(ValueError):
    """A certificate request that nobody should sign; its text says what was expected and what came."""


def make_root(now: datetime, lifetime: timedelta) -> Pair:
    """A new self-signed root, below which stands one level of issuers and then leaves."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"injector root {now:%Y-%m-%d}")
    made = (
        builder(name, name, key.public_key(), now - BACKDATE, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
    )
    return pair(made.sign(key, hashes.SHA256()), key)


def issuer_request(key: bytes, now: datetime) -> bytes:
    """What an issuer with this key (PEM) asks a root's holder to sign (PKCS 10, PEM)."""
    private = read_key(key)
    assert private is not None  # noqa: S101 - made by `new_key`, or read by who made it
    asked = x509.CertificateSigningRequestBuilder().subject_name(_name(f"injector issuer {now:%Y-%m-%d}"))
    return asked.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sign_issuer(root: Pair, csr_pem: bytes, now: datetime, lifetime: timedelta) -> bytes:
    """The issuer certificate for a request (PEM); it never outlives its root. Raises `RequestError`.

    Of the request only the subject and the key are taken: what an issuer may do is for the root's holder to say.
    """
    request, key = _read_request(csr_pem)
    signer = read_key(root.key)
    assert signer is not None  # noqa: S101 - `read_pair` accepts no other
    authority = x509.load_pem_x509_certificate(root.certificate.pem)
    end = min(now + lifetime, root.certificate.not_after)
    made = (
        builder(request.subject, authority.subject, key, now - BACKDATE, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _read_request(pem: bytes) -> tuple[x509.CertificateSigningRequest, ec.EllipticCurvePublicKey]:
    if len(pem) > MOST_REQUEST_BYTES:
        raise RequestError(f"the request: expected at most {MOST_REQUEST_BYTES} bytes, got {len(pem)}")
    try:
        request = x509.load_pem_x509_csr(pem)
        key, valid = request.public_key(), request.is_signature_valid
    except UNREADABLE as error:
        raise RequestError(f"the request: expected PKCS 10 as PEM, got something else ({error})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("the request's key: expected P-256, got another kind")
    if not valid:
        raise RequestError("the request's signature is not that of its key")
    return request, key


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
