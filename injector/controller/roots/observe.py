"""From the objects as read to the `State` that is planned on, and from that to what is published (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from injector.controller.roots import record
from injector.controller.roots.acknowledgements import without_certificate, without_root
from injector.controller.roots.objects import Publication, answered, signer
from injector.controller.roots.plan import Phase, State, bundle, phase
from injector.controller.roots.record import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from injector.controller.roots.acknowledgements import Heard
    from injector.controller.roots.objects import Seen
    from injector.controller.roots.record import Laggard, Record, Rotation
    from injector.pki import Certificate


def observe(seen: Seen, now: datetime, *, everywhere: bool) -> State:
    """What the objects say together. `everywhere`: each namespace's ConfigMap has what is published. Who is behind is
    not among it."""
    kept, published, request = seen.kept, seen.published, seen.request
    current = kept.current.certificate if kept.current else None
    following = kept.next.certificate if kept.next else None
    issuer, running = published.issuer, published.record.running
    unanswered = not answered(request, issuer) or (bool(request) and (issuer is None or not issuer.valid(now)))
    return State(
        current=current,
        next=following,
        previous=kept.previous,
        trusted=published.roots,
        everywhere_since=_since(Phase.ROOTS, running, now) if everywhere else None,
        reissued_since=_since(Phase.CERTIFICATES, running, now),
        issuer=issuer,
        # An issuer's chain may have certificates between it and its root.
        issuer_root=signer(published.chain[-1] if published.chain else None, (current, following, *kept.previous)),
        requested=unanswered,
        asked=record.asked(published.record, seen.wish),
        forced=record.forced(published.record, seen.wish),
    )


def _since(awaited: Phase, running: Rotation | None, now: datetime) -> datetime:
    """When the phase began; now, unless it lasts already."""
    return running.since if running is not None and running.phase is awaited else now


def behind(state: State, known: Record, running: Mapping[str, str], heard: Heard) -> list[Laggard]:
    """Who holds up what is under way; nobody where nothing is."""
    if state.next is not None:
        return without_root(running, heard, state.next.id)
    if state.issuer is not None and awaits_certificates(state, known):
        return without_certificate(running, heard, state.issuer.id)
    return []


def awaits_certificates(state: State, known: Record) -> bool:
    """Whether it matters now who has a certificate of the issuer."""
    if state.rotating:
        return phase(state) is Phase.CERTIFICATES
    rotation = known.running
    waits = rotation is not None and rotation.kind is Kind.ISSUER
    return waits and state.issuer is not None and rotation is not None and state.issuer.id != rotation.before


def roles(state: State) -> tuple[tuple[Certificate, str], ...]:
    """The roots to be trusted, each with what it is for."""
    words = {root.id: word for root, word in ((state.current, "current"), (state.next, "next")) if root is not None}
    return tuple((root, words.get(root.id, "previous")) for root in bundle(state))


def publication(state: State, chain: tuple[Certificate, ...], known: Record) -> Publication:
    """What ConfigMap injector-identity is to say."""
    return Publication(given=False, roles=roles(state), chain=chain, record=known)
