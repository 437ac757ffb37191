"""What the webhook serves, who is said to have signed it, and whether an API server would believe that."""

import base64
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from injector.controller.objects import AUTHORITY_SECRET, CONFIGURATION, SERVING_SECRET
from injector.inject.names import SYSTEM_NAMESPACE
from tests.cluster.support.api import Api
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json

KIND: Final = "MutatingWebhookConfiguration"


class Trust(NamedTuple):
    """A moment's certificates. `fault` says why nobody could be served, "" where all is well."""

    authority: x509.Certificate | None
    leaf: x509.Certificate | None
    fault: str


def observe(api: Api) -> Trust:
    """Both Secrets, and whether every entry's caBundle holds the CA and vouches for the leaf."""
    try:
        authority = certificate(api.get("Secret", AUTHORITY_SECRET, SYSTEM_NAMESPACE), "ca.crt")
        serving = api.get("Secret", SERVING_SECRET, SYSTEM_NAMESPACE)
        leaf = certificate(serving, "tls.crt")
        key = load_pem_private_key(base64.b64decode(serving["data"]["tls.key"]), password=None)
    except (ApiError, KeyError, ValueError) as error:
        return Trust(None, None, f"a Secret is missing or damaged: {error!r}")
    if key.public_key() != leaf.public_key():
        return Trust(authority, leaf, "the serving key is another certificate's")
    now = datetime.now(UTC)
    for what, found in (("CA", authority), ("leaf", leaf)):
        if not found.not_valid_before_utc <= now < found.not_valid_after_utc:
            return Trust(authority, leaf, f"the {what} is not valid now")
    for bundle in bundles(api):
        try:
            trusted = x509.load_pem_x509_certificates(bundle)
        except ValueError as error:
            return Trust(authority, leaf, f"a caBundle is none: {error}")
        if authority not in trusted:
            return Trust(authority, leaf, "a caBundle lacks the CA")
        if not any(signed(leaf, each) for each in trusted):
            return Trust(authority, leaf, "a caBundle does not vouch for the leaf")
    return Trust(authority, leaf, "")


def bundles(api: Api) -> list[bytes]:
    """caBundle of each webhook entry, decoded."""
    entries = api.get(KIND, CONFIGURATION)["webhooks"]
    return [base64.b64decode(entry["clientConfig"].get("caBundle", "")) for entry in entries]


def certificate(secret: Json, field: str) -> x509.Certificate:
    """A certificate in a Secret; KeyError or ValueError where there is none."""
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"][field]))


def signed(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
