"""PURE. Whether caBundle and the serving certificate are good, fit each other, and for how long."""

import base64
import binascii
import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from injector.cli.checks.lines import Line, bad, good
from injector.inject.model import Json

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SERVER_NAME: Final = "injector-webhook.injector-system.svc"

SOON: Final = datetime.timedelta(days=7)
"""The controller renews after two thirds of a lifetime: 20 of 30 days for the certificate. With fewer than 7 left it
has tried for 3 days without success."""

REPAIR: Final = "the controller renews and repairs by itself; see why not: kubectl logs -n injector-system deployment/injector-controller"  # noqa: E501


def certificate_lines(configuration: Json, served: bytes | None, now: datetime.datetime) -> Iterator[Line]:
    """Findings about `caBundle` of every webhook entry, and about the served chain (PEM) where it could be read."""
    bundles = {str(webhook["clientConfig"].get("caBundle") or "") for webhook in configuration.get("webhooks") or ()}
    if "" in bundles:
        yield bad("caBundle is missing from the webhook configuration", REPAIR)
        return
    if len(bundles) > 1:
        yield bad("caBundle differs between the webhook's entries", REPAIR)
        return
    try:
        authorities = _parse(base64.b64decode(bundles.pop(), validate=True))
    except (ValueError, binascii.Error) as error:
        yield bad(f"caBundle is not made of certificates: {error}", REPAIR)
        return
    current = [authority for authority in authorities if _days_left(authority, now) > datetime.timedelta(0)]
    if not current:
        yield bad(f"caBundle expired {_when(authorities[-1])}", REPAIR)
        return
    longest = max(current, key=lambda authority: authority.not_valid_after_utc)
    yield _lifetime("caBundle", longest, now)
    if served is not None:
        yield from _served_lines(served, current, now)


def _served_lines(served: bytes, authorities: list["Certificate"], now: datetime.datetime) -> Iterator[Line]:
    try:
        leaf = _parse(served)[0]
    except (ValueError, IndexError) as error:
        yield bad(f"the serving certificate cannot be read: {error}", REPAIR)
        return
    if not any(_issued(leaf, authority) for authority in authorities):
        yield bad("the serving certificate was not issued by the CA in caBundle", REPAIR)
    if SERVER_NAME not in _names(leaf):
        yield bad(f"the serving certificate is not for {SERVER_NAME}", REPAIR, details=_names(leaf))
    yield _lifetime("the serving certificate", leaf, now)


def _lifetime(what: str, certificate: "Certificate", now: datetime.datetime) -> Line:
    left = _days_left(certificate, now)
    if left <= datetime.timedelta(0):
        return bad(f"{what} expired {_when(certificate)}", REPAIR)
    if certificate.not_valid_before_utc > now:
        return bad(
            f"{what} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "compare the clocks"
        )
    # A short lifetime that somebody chose is not by itself a fault: it is one when little of it is left.
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if left < min(SOON, lifetime / 4):
        return bad(f"{what} expires {_when(certificate)} and was not renewed", REPAIR)
    return good(f"{what} is valid until {_when(certificate)}")


def _parse(data: bytes) -> list["Certificate"]:
    from cryptography.x509 import load_pem_x509_certificates

    return load_pem_x509_certificates(data)


def _issued(leaf: "Certificate", authority: "Certificate") -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(leaf: "Certificate") -> list[str]:
    from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName

    try:
        return leaf.extensions.get_extension_for_class(SubjectAlternativeName).value.get_values_for_type(DNSName)
    except ExtensionNotFound:
        return []


def _days_left(certificate: "Certificate", now: datetime.datetime) -> datetime.timedelta:
    return certificate.not_valid_after_utc - now


def _when(certificate: "Certificate") -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
