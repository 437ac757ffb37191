"""The certificate that this replica serves with: signed by itself with the issuer's key, and kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from injector.pki.certificates import encoded
from injector.runtime.renewed import Material

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from injector.pki import Signer, SpiffeId

SERVICE: Final = "injector-identity"
RENEW_AFTER: Final = 1 / 3
"""Of its life, as every leaf of the mesh is."""


class ServingCertificate:
    """`renew` it now and then, and serve with its `material`."""

    def __init__(self, subject: SpiffeId, lifetime: timedelta) -> None:
        self._subject = subject
        self._lifetime = lifetime
        self._issuer = ""
        self._renew_at: datetime | None = None
        self.material: Material | None = None
        """The newest; None before the first `renew`."""
        self.expiry = 0.0
        """End of its validity (seconds since 1970); 0 while there is none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The DNS names of the Service, besides that of the identity."""
        base = f"{SERVICE}.{self._subject.namespace}"
        return (base, f"{base}.svc", f"{base}.svc.cluster.local")

    def renew(self, signer: Signer, now: datetime) -> bool:
        """Have one of this issuer that is not due; whether there was something to do."""
        if signer.certificate.id == self._issuer and self._renew_at is not None and now < self._renew_at:
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = signer.issue(self._subject, key.public_key(), now, self._lifetime, self.names)
        pem = b"".join(
            x509.load_der_x509_certificate(each).public_bytes(serialization.Encoding.PEM) for each in leaf.chain
        )
        self.material = Material(encoded(key), pem, None)
        self._issuer = signer.certificate.id
        self._renew_at = now + (leaf.not_after - now) * RENEW_AFTER
        self.expiry = leaf.not_after.timestamp()
        return True
