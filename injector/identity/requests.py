"""Certificate requests, judged (pure): whoever has a token may have a certificate of its own name, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from injector.identity.refusals import Reason, Refused

if TYPE_CHECKING:
    from injector.pki import SpiffeId

MOST_BYTES = 4096
"""A request for P-256 with two names of the longest kind has under 1 KiB."""
QUOTED_LETTERS = 300


def key_of(csr: bytes, subject: SpiffeId) -> ec.EllipticCurvePublicKey:
    """The key of a good request (PKCS 10, DER) by this subject; raises `Refused` with all that is wrong with it."""
    if len(csr) > MOST_BYTES:
        raise Refused(Reason.TOO_LARGE, f"the request: expected at most {MOST_BYTES} bytes, got {len(csr)}")
    try:
        request = x509.load_der_x509_csr(csr)
        key, signed = request.public_key(), request.is_signature_valid
        names = _names(request)
    except Exception as error:  # the parser raises whatever its many parts raise
        raise Refused(Reason.MALFORMED, "the request: expected PKCS 10 as DER, got something else") from error
    faults = [*_key_faults(key), *_signature_faults(signed=signed), *_name_faults(names, subject)]
    if faults:
        raise Refused(faults[0][0], "; ".join(text for _, text in faults))
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - judged above
    return key


def _names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _key_faults(key: object) -> list[tuple[Reason, str]]:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return []
    return [(Reason.WRONG_KEY, "the key: expected P-256, got another kind")]


def _signature_faults(*, signed: bool) -> list[tuple[Reason, str]]:
    return [] if signed else [(Reason.WRONG_SIGNATURE, "the signature is not that of the request's key")]


def _name_faults(names: list[x509.GeneralName], subject: SpiffeId) -> list[tuple[Reason, str]]:
    """Exactly the URI, and at most the DNS name: a token is its pod's word for nothing else."""
    uri, allowed = str(subject), {str(subject)} | ({subject.dns_name} if subject.dns_name else set())
    asked = [(type(name), str(name.value)) for name in names]
    uris = [text for kind, text in asked if kind is x509.UniformResourceIdentifier]
    known = {x509.UniformResourceIdentifier, x509.DNSName}
    if uris == [uri] and all(kind in known and text in allowed for kind, text in asked) and len(asked) <= len(allowed):
        return []
    got = (", ".join(text for _, text in asked) or "none")[:QUOTED_LETTERS]
    return [(Reason.WRONG_NAMES, f"the names: expected {' and '.join(sorted(allowed, reverse=True))}, got {got}")]
