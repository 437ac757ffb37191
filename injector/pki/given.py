"""Roots and issuers that somebody else made: everything that is wrong with them, as sentences for that person."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from injector.pki.certificates import read_bundle, read_key, same_key, signed_by

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from injector.pki.certificates import Certificate


MOST_IN_CHAIN: Final = 4
"""Certificates of an issuer's chain, its own among them: proxies take five with the leaf before it (verify.rs), because
a verifier tries each as the issuer of each."""


def faults_of_roots(pem: bytes, now: datetime) -> list[str]:
    """What is wrong with a bundle of roots (PEM); nothing where each can be trusted now."""
    roots = read_bundle(pem)
    if not roots:
        return ["the roots: expected at least one certificate as PEM, got none"]
    return [fault for number, root in enumerate(roots, 1) for fault in _of_authority(f"root {number}", root, now)]


def faults_of_issuer(chain: bytes, key: bytes, roots: bytes, now: datetime) -> list[str]:
    """What is wrong with an issuer (its certificate first, then those between it and a root, and its key)."""
    certificates, faults = read_bundle(chain), _of_key(key)
    if not certificates:
        return [*faults, "the issuer's certificate: expected PEM, got none"]
    if len(certificates) > MOST_IN_CHAIN:
        faults.append(f"the issuer's chain: expected at most {MOST_IN_CHAIN} certificates, got {len(certificates)}")
    if read_key(key) is not None and not same_key(certificates[0].pem, key):
        faults.append("the issuer's key is not that of its certificate")
    for number, certificate in enumerate(certificates):
        what = _place(number)
        faults += _of_authority(what, certificate, now)
        faults += _of_depth(what, certificate, number)
    return faults + _unlinked(certificates, read_bundle(roots))


def _place(number: int) -> str:
    return "the issuer's certificate" if number == 0 else f"certificate {number + 1} of the issuer's chain"


def _of_key(key: bytes) -> list[str]:
    private = read_key(key)
    if private is None:
        return ["the issuer's key: expected an elliptic-curve key (PKCS 8 or SEC 1, PEM, no password)"]
    if not isinstance(private.curve, ec.SECP256R1 | ec.SECP384R1):
        # Whoever verifies leaves must know the curve; these two are what every peer of ours knows.
        return [f"the issuer's key: expected P-256 or P-384, got {private.curve.name}"]
    return []


def _of_authority(what: str, certificate: Certificate, now: datetime) -> list[str]:
    faults = []
    if now >= certificate.not_after:
        faults.append(f"{what} has expired at {certificate.not_after:%Y-%m-%d %H:%M} UTC")
    if now < certificate.not_before:
        faults.append(f"{what} is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC")
    constraints = _constraints(certificate)
    if constraints is None or not constraints.ca:
        faults.append(f"{what}: expected a CA (basicConstraints CA:TRUE), got a certificate that may not sign others")
    elif not _signs_certificates(certificate):
        faults.append(f"{what}: expected the key usage keyCertSign, got one without it")
    return faults


def _of_depth(what: str, certificate: Certificate, below: int) -> list[str]:
    """Whether it allows as many CAs `below` it as there are (RFC 5280, section 4.2.1.9)."""
    constraints = _constraints(certificate)
    allowed = constraints.path_length if constraints is not None else None
    if allowed is None or allowed >= below:
        return []
    return [f"{what}: expected a path length of {below} or more, for as many CAs stand below it, got {allowed}"]


def _constraints(certificate: Certificate) -> x509.BasicConstraints | None:
    try:
        return _extensions(certificate).get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _signs_certificates(certificate: Certificate) -> bool:
    try:
        return _extensions(certificate).get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True  # no word on usage allows every use (RFC 5280, section 4.2.1.3)


def _extensions(certificate: Certificate) -> x509.Extensions:
    return x509.load_pem_x509_certificate(certificate.pem).extensions


def _unlinked(chain: Sequence[Certificate], roots: Sequence[Certificate]) -> list[str]:
    """Where the chain breaks: each certificate is signed by the next, and the last by a root, or is one."""
    for number, (lower, upper) in enumerate(pairwise(chain), 1):
        if not signed_by(lower, upper):
            return [f"certificate {number} of the issuer's chain is not signed by the next one"]
    last = chain[-1]
    if any(root.id == last.id for root in roots):
        return []
    signers = [root for root in roots if signed_by(last, root)]
    if not signers:
        return [
            f"the issuer's chain ends at a certificate ({last.id[:16]}…) that none of the {len(roots)} roots has signed"
        ]
    too_deep = [_of_depth(f"root {root.id[:16]}…", root, len(chain)) for root in signers]
    return [] if [] in too_deep else too_deep[0]
