"""What to do next about the mesh's roots: a pure function from what is observed to one step.

The order is everything. A pod verifies others by the roots that it has read, and shows the certificate that it got
last; both change at moments of the pod's own. So a new root first stands in every bundle, and signs only after every
running pod has said that it accepts it; an old root leaves the bundles only after every running pod has said that its
certificate is of the new issuer. Each step is one write to one object, decided from the objects themselves: a
controller that dies between two steps leaves nothing to remember, and the next one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from injector.pki import Certificate


class Step(Enum):
    """One change to make; the value is the word in logs and metrics."""

    CREATE_ROOT = "create-root"
    """Nobody trusts anything that is valid: make a root, and let it sign at once."""
    PREPARE_ROOT = "prepare-root"
    """The root is due, lost, or to be replaced: make the next one, for the bundles only."""
    PROMOTE_ROOT = "promote-root"
    """The next root is accepted everywhere: it signs from now on."""
    RETIRE_ROOTS = "retire-roots"
    """Nobody shows a certificate under the previous roots any more."""
    PUBLISH = "publish"
    """The published roots are not what they should be."""
    SIGN_ISSUER = "sign-issuer"
    """The issuer asks for a certificate."""
    WANT_ISSUER = "want-issuer"
    """Somebody asked for another issuer: tell the issuer's leader."""


class Phase(Enum):
    """What a rotation waits for; the value is the word in state.json."""

    NAMESPACES = "namespaces"
    """The new root is not in every namespace's ConfigMap yet."""
    ROOTS = "roots"
    """Running pods have not said yet that they accept the new root."""
    ISSUER = "issuer"
    """The issuer has not got its new certificate yet."""
    CERTIFICATES = "certificates"
    """Running pods still have certificates of another issuer."""
    DONE = "done"


class Asked(Enum):
    """A person's wish that has not been begun."""

    NOTHING = "nothing"
    ISSUER = "issuer"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things take. `settle` is how long the slowest reader may be behind: a root stands in every namespace for
    so long before it signs, because a pod that is just being started has read the roots before, and is not asked; and
    an old one goes so long after the issuer was exchanged, because one of its replicas may not have heard of that."""

    root_lifetime: timedelta
    issuer_lifetime: timedelta
    settle: timedelta


@dataclass(frozen=True, slots=True)
class State:
    """What is observed. Roots that sign are readable ones with their key; None stands for missing or damaged.

    `trusted` is what the published bundle holds. `everywhere_since` says since when each namespace has it, None while
    one has another; `reissued_since` since when the issuer's certificate is of the current root. `issuer_root` is the
    id of the known root that signed the issuer. `requested`: the issuer asks for a certificate that it has not got.
    `without_root`, `without_certificate`: how many of those who are to be asked have not said that they accept `next`,
    or that their certificate is of `issuer`. `forced`: go on past them.
    """

    current: Certificate | None = None
    next: Certificate | None = None
    previous: tuple[Certificate, ...] = ()
    trusted: tuple[Certificate, ...] = ()
    everywhere_since: datetime | None = None
    reissued_since: datetime | None = None
    issuer: Certificate | None = None
    issuer_root: str | None = None
    requested: bool = False
    asked: Asked = Asked.NOTHING
    without_root: int = 0
    without_certificate: int = 0
    forced: bool = False

    @property
    def rotating(self) -> bool:
        """Whether a root is being replaced."""
        return self.next is not None or bool(self.previous)

    @property
    def reissued(self) -> bool:
        """Whether the issuer has a valid certificate under the current root."""
        return self.current is not None and self.issuer_root == self.current.id


@dataclass(frozen=True, slots=True)
class Plan:
    """The step to take now, if any, and when to look again if nothing changes before; None: no such moment."""

    step: Step | None
    again: datetime | None


def due(root: Certificate, policy: Policy) -> datetime:
    """When a root is replaced by its age: when a third of its life is left. Neither the backdating of a short life, nor
    a setting that was raised since, makes it due the moment it is made."""
    return root.not_after - min(root.not_after - root.not_before, policy.root_lifetime) / 3


def bundle(state: State) -> tuple[Certificate, ...]:
    """What is to be trusted, in a stable order. An expired root stays until it is retired: verifiers refuse it by its
    dates anyway, and a controller whose clock is wrong must not take away what others rely on."""
    known = {root.id: root for root in (state.current, state.next, *state.previous) if root is not None}
    return tuple(known.values())


def heirs(state: State, successor: Certificate) -> tuple[Certificate, ...]:
    """The previous roots beside `successor`. Where the Secret was lost, the published bundle alone remembers them."""
    known = {root.id: root for root in (state.current, *state.previous, *state.trusted) if root is not None}
    known.pop(successor.id, None)
    return tuple(known.values())


def phase(state: State) -> Phase:
    """How far the replacement of a root is; DONE where none is under way."""
    if state.next is not None:
        return Phase.NAMESPACES if state.everywhere_since is None else Phase.ROOTS
    if state.previous:
        return Phase.CERTIFICATES if state.reissued else Phase.ISSUER
    return Phase.DONE


def plan(state: State, policy: Policy, now: datetime) -> Plan:
    """The next step."""
    return Plan(_step(state, policy, now), _again(state, policy, now))


def _step(state: State, policy: Policy, now: datetime) -> Step | None:
    if state.current is None and state.next is None:
        return Step.PREPARE_ROOT if any(root.valid(now) for root in state.trusted) else Step.CREATE_ROOT
    if state.next is not None and not state.next.valid(now):
        return Step.PREPARE_ROOT
    if {root.id for root in state.trusted} != {root.id for root in bundle(state)}:
        return Step.PUBLISH
    if state.next is not None and _may_sign(state, policy, now):
        return Step.PROMOTE_ROOT
    if state.current is not None and state.current.valid(now) and state.requested:
        return Step.SIGN_ISSUER
    if state.next is None and state.previous and _may_retire(state, policy, now):
        return Step.RETIRE_ROOTS
    return _begin(state, policy, now)


def _begin(state: State, policy: Policy, now: datetime) -> Step | None:
    """The step that begins a rotation; one at a time."""
    if state.rotating or state.current is None:
        return None
    if state.asked is Asked.ROOT or due(state.current, policy) <= now:
        return Step.PREPARE_ROOT
    return Step.WANT_ISSUER if state.asked is Asked.ISSUER else None


def _may_sign(state: State, policy: Policy, now: datetime) -> bool:
    others = (root for root in bundle(state) if root is not state.next)
    if state.forced or not any(root.valid(now) for root in others):
        return True  # a person says so; or nobody can verify anybody as it is, and waiting gains nothing
    settled = state.everywhere_since is not None and state.everywhere_since + policy.settle <= now
    return settled and state.without_root == 0


def _may_retire(state: State, policy: Policy, now: datetime) -> bool:
    if not state.reissued or state.issuer is None or not state.issuer.valid(now):
        return False
    settled = state.reissued_since is not None and state.reissued_since + policy.settle <= now
    return state.forced or (settled and state.without_certificate == 0)


def _again(state: State, policy: Policy, now: datetime) -> datetime | None:
    settling = state.everywhere_since if state.next is not None else state.reissued_since
    moments = [settling + policy.settle] if settling is not None else []
    if state.current is not None:
        # Its end matters too: from then on a prepared root need not wait.
        moments += [due(state.current, policy), state.current.not_after]
    return min((moment for moment in moments if moment > now), default=None)
