"""Who is at the other end, and for how long: by the certificate that the TLS layer has verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from injector.discovery.model import Identity
from injector.pki import SpiffeId, read_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

SPIFFE_PROPERTY: Final = "peer_spiffe_id"
"""gRPC's property of a verified peer whose certificate has exactly one URI, and that a SPIFFE ID; else it is absent."""
CERTIFICATE_PROPERTY: Final = "x509_pem_cert"


def identity(authenticated: Mapping[str, Iterable[bytes]], trust_domain: str) -> Identity | None:
    """The peer of a connection by its authentication context; None where it is nobody of this trust domain."""
    for uri in authenticated.get(SPIFFE_PROPERTY, ()):
        parsed = SpiffeId.parse(uri.decode("utf-8", "replace"))
        if parsed is not None and parsed.trust_domain == trust_domain:
            return Identity(parsed.namespace, parsed.service_account)
    return None


def expired(authenticated: Mapping[str, Iterable[bytes]], now: datetime) -> bool:
    """Whether the peer's certificate has expired, or there is none that can be read."""
    own = [found for pem in authenticated.get(CERTIFICATE_PROPERTY, ()) for found in read_bundle(pem)[:1]]
    return not own or own[0].not_after <= now
