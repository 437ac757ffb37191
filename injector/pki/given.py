"""Roots and issuers that somebody else made: everything that is wrong with them, as sentences for that person."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509

from injector.pki.certificates import read_bundle, read_key, same_key, signed_by

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from injector.pki.certificates import Certificate


def faults_of_roots(pem: bytes, now: datetime) -> list[str]:
    """What is wrong with a bundle of roots (PEM); nothing where each can be trusted now."""
    roots = read_bundle(pem)
    if not roots:
        return ["the roots: expected at least one certificate as PEM, got none"]
    return [fault for number, root in enumerate(roots, 1) for fault in _of_authority(f"root {number}", root, now)]


def faults_of_issuer(chain: bytes, key: bytes, roots: bytes, now: datetime) -> list[str]:
    """What is wrong with an issuer (its certificate first, then those between it and a root, and its key)."""
    certificates, faults = read_bundle(chain), []
    if read_key(key) is None:
        faults.append("the issuer's key: expected an elliptic-curve key (PKCS 8 or SEC 1, PEM, no password)")
    if not certificates:
        return [*faults, "the issuer's certificate: expected PEM, got none"]
    if read_key(key) is not None and not same_key(certificates[0].pem, key):
        faults.append("the issuer's key is not that of its certificate")
    for number, certificate in enumerate(certificates):
        what = "the issuer's certificate" if number == 0 else f"certificate {number + 1} of the issuer's chain"
        faults += _of_authority(what, certificate, now)
    return faults + _unlinked(certificates, read_bundle(roots))


def _of_authority(what: str, certificate: Certificate, now: datetime) -> list[str]:
    faults = []
    if now >= certificate.not_after:
        faults.append(f"{what} has expired at {certificate.not_after:%Y-%m-%d %H:%M} UTC")
    if now < certificate.not_before:
        faults.append(f"{what} is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC")
    parsed = x509.load_pem_x509_certificate(certificate.pem)
    try:
        authority = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    if not authority:
        faults.append(f"{what}: expected a CA (basicConstraints CA:TRUE), got a certificate that may not sign others")
    return faults


def _unlinked(chain: Sequence[Certificate], roots: Sequence[Certificate]) -> list[str]:
    """Where the chain breaks: each certificate is signed by the next, and the last by a root, or is one."""
    for number, (lower, upper) in enumerate(pairwise(chain), 1):
        if not signed_by(lower, upper):
            return [f"certificate {number} of the issuer's chain is not signed by the next one"]
    last = chain[-1]
    if any(root.id == last.id or signed_by(last, root) for root in roots):
        return []
    return [
        f"the issuer's chain ends at a certificate ({last.id[:16]}…) that none of the {len(roots)} roots has signed"
    ]
