"""When the issuer gets another key and certificate, as a pure function of what is there.

The steps can be interrupted anywhere: the next key is stored before it is asked for, the request can be made again from
it, and a certificate that comes is compared with it before it is used. The old pair signs until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cryptography import x509

from injector.pki import faults_of_issuer, read_key, signed_by
from injector.pki.certificates import UNREADABLE

if TYPE_CHECKING:
    from injector.identity.objects import Asked, Kept, Public
    from injector.pki import Certificate

RENEW_AFTER: Final = 2 / 3
"""Of an issuer's life: of its year four months remain, against a leaf's day."""
LOOK_AGAIN: Final = timedelta(seconds=60)


class Step(StrEnum):
    """What the leader does next."""

    MAKE_KEY = "make-key"
    """There is no issuer, it is due, of another root than the one that signs, or another one is wished for."""
    ASK = "ask"
    """The request before the controller is not that of our next key."""
    ADOPT = "adopt"
    """The controller has signed our next key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The step to take now, if any, and when to look again if nothing changes before."""

    step: Step | None
    again: datetime


def plan(kept: Kept, public: Public, asked: Asked, now: datetime) -> Plan:
    """The next step."""
    if read_key(kept.next_key) is None:
        certificate = kept.signer.certificate if kept.signer else None
        moment = now if certificate is None else wanted_at(certificate, kept, public, now)
        return Plan(Step.MAKE_KEY, now) if moment <= now else Plan(None, min(moment, now + LOOK_AGAIN))
    # Whatever is wrong with what has come (of an older key, of a root that is not trusted): what works is kept.
    if not faults_of_issuer(public.issuer, kept.next_key, public.roots, now):
        return Plan(Step.ADOPT, now)
    if not _asks_for(asked.csr, kept.next_key):
        return Plan(Step.ASK, now)
    return Plan(None, now + LOOK_AGAIN)


def wanted_at(certificate: Certificate, kept: Kept, public: Public, now: datetime) -> datetime:
    """When another issuer than the one of this certificate is to be had."""
    root = public.root()
    if public.wanted > kept.generation or (root is not None and not signed_by(certificate, root)):
        return now
    return certificate.made + (certificate.not_after - certificate.made) * RENEW_AFTER


def _asks_for(csr: bytes, key: bytes) -> bool:
    private = read_key(key)
    try:
        return private is not None and x509.load_pem_x509_csr(csr).public_key() == private.public_key()
    except UNREADABLE:
        return False
