"""Certificates: making them, and reading back what others kept. Pure: no clock, no files, no network."""

from injector.pki.certificates import (
    BACKDATE,
    Certificate,
    Pair,
    fingerprint,
    new_key,
    read_bundle,
    read_key,
    read_pair,
    same_key,
    signed_by,
)
from injector.pki.given import faults_of_issuer, faults_of_roots
from injector.pki.issuers import RequestError, issuer_request, make_root, sign_issuer
from injector.pki.leaves import SKEW, Leaf, Signer, read_signer
from injector.pki.serving import issue, make_authority
from injector.pki.spiffe import SpiffeId

__all__ = [
    "BACKDATE",
    "SKEW",
    "Certificate",
    "Leaf",
    "Pair",
    "RequestError",
    "Signer",
    "SpiffeId",
    "faults_of_issuer",
    "faults_of_roots",
    "fingerprint",
    "issue",
    "issuer_request",
    "make_authority",
    "make_root",
    "new_key",
    "read_bundle",
    "read_key",
    "read_pair",
    "read_signer",
    "same_key",
    "sign_issuer",
    "signed_by",
]
