"""PURE. The mesh's roots and issuer: whether they are there, for how long, and what to run before they end."""

import datetime
from collections.abc import Iterator
from typing import Final

from injector.cli.checks.lines import Line, bad, good, worth_knowing
from injector.cli.identity import Dated, IdentityState, left, read_state, rotation_lines
from injector.cli.outcome import CommandError
from injector.inject.model import Json
from injector.inject.names import SYSTEM_NAMESPACE
from injector.kube.errors import KubeError, NotFound

SOON: Final = datetime.timedelta(days=60)
"""Two months to plan a rotation in, which takes minutes."""

GIVEN_AGAIN: Final = "injector install --root-ca FILE --issuer-certificate FILE --issuer-key FILE | kubectl apply -f -"

_LOGS: Final = f"kubectl logs -n {SYSTEM_NAMESPACE} deployment/injector-controller"


def identity_lines(
    published: Json | KubeError, now: datetime.datetime, fail_within: datetime.timedelta
) -> Iterator[Line]:
    """Findings about ConfigMap injector-identity. What ends within `fail_within` is bad, a little later a note."""
    if isinstance(published, NotFound):
        yield bad("the mesh has no roots: ConfigMap injector-identity is missing", _LOGS)
    if isinstance(published, KubeError):
        return
    try:
        state = read_state(published)
    except CommandError as unreadable:
        yield bad(str(unreadable), _LOGS)
        return
    yield from (bad(fault, _LOGS) for fault in state.faults)
    if not any(one.what == "issuer" for one in state.certificates) and not state.given:
        yield bad("no issuer has been signed: no pod gets a certificate", _LOGS, "injector identity roots")
    for one in state.certificates:
        yield _life(one, state, now, fail_within)
    if state.rotation is not None and not state.rotation.done:
        first, *more = rotation_lines(state.rotation)
        yield worth_knowing(first, details=(line.strip() for line in more))


def _life(one: Dated, state: IdentityState, now: datetime.datetime, fail_within: datetime.timedelta) -> Line:
    remaining = one.not_after - now
    text = f"{one.what} is valid until {one.not_after:%Y-%m-%d %H:%M} UTC, {left(one.not_after, now)}"
    if remaining <= datetime.timedelta(0):
        return bad(f"{one.what}: {left(one.not_after, now)}", *_renewal(one, state, expired=True))
    if one.not_before > now:
        return bad(f"{one.what} is not valid before {one.not_before:%Y-%m-%d %H:%M} UTC", "compare the clocks")
    if remaining <= fail_within:
        return bad(text, *_renewal(one, state))
    # A short lifetime that somebody chose is not by itself a reason: it is one when little of it is left.
    if remaining <= min(SOON, (one.not_after - one.not_before) / 4):
        return worth_knowing(text, *_renewal(one, state))
    return good(text)


def _renewal(one: Dated, state: IdentityState, *, expired: bool = False) -> tuple[str, ...]:
    if state.given:
        return ("renew it where it comes from; if that is you: " + GIVEN_AGAIN,)
    kind = "issuer" if one.what == "issuer" else "root"
    if expired:
        return ("injector identity rotate root --force", "then restart the pods that it names")
    return (f"injector identity rotate {kind}",)
