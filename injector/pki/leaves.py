"""Leaves: certificates of pods and of the mesh's own parts, signed by an issuer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from injector.pki.certificates import builder, read_bundle, read_key, same_key, usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from injector.pki.certificates import Certificate
    from injector.pki.spiffe import SpiffeId

# Leaves begin to be valid this long before they are made: clocks of nodes that run NTP differ by milliseconds, those
# of nodes that do not by minutes. It is short, for a leaf lives a day, and who is ahead of that is found out.
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Leaf:
    """DER, the leaf first, then whatever stands between it and a root; and its validity."""

    chain: tuple[bytes, ...]
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Signer:
    """An issuer, ready to sign: its certificate, those between it and a root, and its key, on which `repr` is silent.

    Make it with `read_signer`.
    """

    certificate: Certificate
    intermediates: tuple[Certificate, ...]
    _subject: x509.Name = field(repr=False)
    _chain: tuple[bytes, ...] = field(repr=False)
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    def issue(
        self,
        subject: SpiffeId,
        key: ec.EllipticCurvePublicKey,
        now: datetime,
        lifetime: timedelta,
        dns_names: Sequence[str] = (),
    ) -> Leaf:
        """A certificate that says of this key that it is this subject's; it never outlives its issuer.

        Its names are the subject's URI, its DNS name where it has one, and `dns_names` for servers that are dialled by
        other names. It has no subject field, so that extension is critical (RFC 5280, section 4.2.1.6).
        """
        begin = max(now - SKEW, self.certificate.not_before)
        end = min(now + lifetime, self.certificate.not_after)
        names = (*((subject.dns_name,) if subject.dns_name else ()), *dns_names)
        made = (
            builder(x509.Name([]), self._subject, key, begin, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_BOTH_ENDS), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(str(subject)), *map(x509.DNSName, names)],
                ),
                critical=True,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        ).sign(self._key, hashes.SHA256())
        chain = (made.public_bytes(serialization.Encoding.DER), *self._chain)
        return Leaf(chain, made.not_valid_before_utc, made.not_valid_after_utc)


_BOTH_ENDS = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]


def read_signer(chain: bytes, key: bytes) -> Signer | None:
    """The issuer of a Secret: its certificate first, then those between it and a root; None where either is missing,
    damaged, or not the other's. A root at the end is left out of chains, for who verifies has it already; an issuer
    that is a root itself is not, for whoever gets a leaf learns from the chain who its issuer is."""
    private, known = read_key(key), read_bundle(chain)
    if private is None or not known or not same_key(known[0].pem, key):
        return None
    parsed = [x509.load_pem_x509_certificate(each.pem) for each in known]
    between = [each for each in parsed[1:] if each.subject != each.issuer]
    shown = tuple(each.public_bytes(serialization.Encoding.DER) for each in (parsed[0], *between))
    return Signer(known[0], known[1:], parsed[0].subject, shown, private)
