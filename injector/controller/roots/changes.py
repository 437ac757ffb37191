"""What a step writes: one object, whole (pure but for the randomness of new keys)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from injector.controller.roots.observe import publication
from injector.controller.roots.plan import Step, heirs
from injector.controller.roots.record import want_issuer
from injector.pki import make_root, read_bundle, sign_issuer

if TYPE_CHECKING:
    from datetime import datetime

    from injector.controller.roots.objects import Kept, Publication, Seen
    from injector.controller.roots.plan import Policy, State
    from injector.controller.roots.record import Record


def change(step: Step, seen: Seen, state: State, known: Record, policy: Policy, now: datetime) -> Kept | Publication:
    """The root Secret, or ConfigMap injector-identity, as the step leaves it. Raises `RequestError` for a request of
    the issuer's that nobody should sign."""
    kept, chain = seen.kept, seen.published.chain
    match step:
        case Step.CREATE_ROOT:
            made = make_root(now, policy.root_lifetime)
            return replace(kept, current=made, next=None, previous=heirs(state, made.certificate))
        case Step.PREPARE_ROOT:
            made = make_root(now, policy.root_lifetime)
            remembered = kept.previous if kept.current is not None else heirs(state, made.certificate)
            return replace(kept, next=made, previous=remembered)
        case Step.PROMOTE_ROOT:
            assert kept.next is not None  # noqa: S101 - the plan saw it
            return replace(kept, current=kept.next, next=None, previous=heirs(state, kept.next.certificate))
        case Step.RETIRE_ROOTS:
            return replace(kept, previous=())
        case Step.SIGN_ISSUER:
            assert kept.current is not None  # noqa: S101 - the plan saw it
            signed = sign_issuer(kept.current, seen.request, now, policy.issuer_lifetime)
            return publication(state, read_bundle(signed), known)
        case Step.WANT_ISSUER:
            assert seen.wish is not None  # noqa: S101 - the plan saw it
            return publication(state, chain, want_issuer(known, state, seen.wish, now))
        case Step.PUBLISH:
            return publication(state, chain, known)
