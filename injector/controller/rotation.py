"""What to do next about the webhook's certificates: a pure function from what is observed to one step.

The order is everything. An API server trusts what caBundle says, the webhook serves what its Secret holds, and both
hear of changes by watch, at different times. So a new CA is published first, and its leaf is made only after the bundle
has been read back and a propagation delay has gone by; an old CA stays in the bundle until its leaf has surely been
replaced. Only one step is decided at a time, from the objects themselves: a controller that dies between two steps
leaves nothing to remember, and the next one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from injector.pki import Certificate

# Renewed after two thirds of the lifetime, and up to a twentieth later, by a number that belongs to the certificate: a
# thousand clusters installed by the same pipeline do not renew in the same minute, and all replicas agree when.
RENEW_AFTER = 2 / 3
RENEW_SPREAD = 1 / 20
# How long an old CA is trusted after its leaf was replaced. A webhook loads a new leaf within a second of its Secret;
# an hour is for a replica that has lost the API server and still serves the old one.
RETIRE_AFTER = timedelta(hours=1)
# Never more than one in an orderly rotation; a few after accidents. A bundle is not to grow without end.
MOST_PREVIOUS = 4


class Step(Enum):
    """One change to make; the value is the word in logs and metrics."""

    CREATE_AUTHORITY = "create-authority"
    """There is no usable CA: make one, and go on trusting those that caBundle trusts now."""
    PREPARE_AUTHORITY = "prepare-authority"
    """The CA is due: make the next one, for the bundle only."""
    PROMOTE_AUTHORITY = "promote-authority"
    """The next CA is trusted everywhere: it signs from now on."""
    PUBLISH_BUNDLE = "publish-bundle"
    """caBundle, or its owner, is not what it should be."""
    ISSUE_LEAF = "issue-leaf"
    """The serving certificate is missing, damaged, due, for other names, or of another CA."""
    RETIRE_AUTHORITIES = "retire-authorities"
    """Nobody serves a leaf of the previous CAs any more."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things take. `names` are what the serving certificate must be good for."""

    names: frozenset[str]
    ca_lifetime: timedelta
    leaf_lifetime: timedelta
    propagation_delay: timedelta


@dataclass(frozen=True, slots=True)
class State:
    """What is observed. Certificates are readable ones with their key; None stands for missing or damaged.

    `leaf_issuer` is the CA, of those known, that signed the leaf. `observed` are the CAs in any caBundle,
    `trusted_since` says since when each has been seen in every one without a break. `installed` is False where there
    is no webhook configuration: nobody calls then.
    """

    current: Certificate | None = None
    next: Certificate | None = None
    previous: tuple[Certificate, ...] = ()
    leaf: Certificate | None = None
    leaf_issuer: str | None = None
    installed: bool = False
    published: bool = False
    observed: tuple[Certificate, ...] = ()
    trusted_since: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The step to take now, if any, and when to look again if nothing changes before."""

    step: Step | None
    again: datetime


def due(certificate: Certificate) -> datetime:
    """When a certificate is to be renewed."""
    lifetime = certificate.not_after - certificate.made
    own = int(certificate.id[:8], 16) / 2**32
    return certificate.made + lifetime * (RENEW_AFTER + RENEW_SPREAD * own)


def bundle(state: State, now: datetime) -> tuple[Certificate, ...]:
    """What caBundle is to hold: every CA whose leaf is, will be, or may still be served. In a stable order."""
    return _distinct((state.current, state.next, *state.previous), now)


def heirs(state: State, current: Certificate, now: datetime) -> tuple[Certificate, ...]:
    """The previous CAs once `current` signs: whoever was trusted stays trusted, for somebody may serve its leaf. When
    the CA's Secret was lost, the bundles are the only ones who remember."""
    known = _distinct((state.current, *state.previous, *state.observed), now)
    return tuple(certificate for certificate in known if certificate.id != current.id)[:MOST_PREVIOUS]


def _distinct(certificates: Iterable[Certificate | None], now: datetime) -> tuple[Certificate, ...]:
    usable = {known.id: known for known in certificates if known is not None and known.valid(now)}
    return tuple(usable.values())


def plan(state: State, policy: Policy, now: datetime) -> Plan:
    """The next step. `state.published` must say whether every caBundle is exactly `bundle(state, now)`."""
    if state.current is None or not state.current.valid(now):
        usable_next = state.next is not None and state.next.valid(now)
        return Plan(Step.PROMOTE_AUTHORITY if usable_next else Step.CREATE_AUTHORITY, now)
    if state.installed and not state.published:
        return Plan(Step.PUBLISH_BUNDLE, now)
    moments = [state.current.not_after]
    for step, moment in _candidates(state, state.current, policy, now):
        if moment <= now:
            return Plan(step, now)
        moments.append(moment)
    return Plan(None, min(moments))


def _candidates(state: State, current: Certificate, policy: Policy, now: datetime) -> Iterable[tuple[Step, datetime]]:
    """Each step that lies ahead with its moment, in the order in which they go first."""
    yield Step.ISSUE_LEAF, _leaf_moment(state, current, policy, now)
    if state.next is None or not state.next.valid(now):
        yield Step.PREPARE_AUTHORITY, due(current)
    else:
        yield Step.PROMOTE_AUTHORITY, _trusted_moment(state, state.next, policy, now)
    if state.previous:
        yield Step.RETIRE_AUTHORITIES, _retire_moment(state, current, now)


def _leaf_moment(state: State, current: Certificate, policy: Policy, now: datetime) -> datetime:
    leaf = state.leaf
    known = {certificate.id for certificate in bundle(state, now)}
    if leaf is None or not leaf.valid(now) or state.leaf_issuer not in known:
        # Nobody can be served as it is, so nothing is lost by not waiting for the last API server to hear of the
        # bundle, which has been read back: publishing it comes before anything here.
        return now
    # Once it has expired, waiting for the last API server gains nothing either.
    trusted = min(_trusted_moment(state, current, policy, now), leaf.not_after)
    return max(due(leaf), trusted) if state.leaf_issuer == current.id and policy.names <= leaf.names else trusted


def _trusted_moment(state: State, authority: Certificate, policy: Policy, now: datetime) -> datetime:
    """When a CA will have been in the bundle for the propagation delay; with nobody to trust it, at once."""
    if not state.installed:
        return now
    return state.trusted_since.get(authority.id, now) + policy.propagation_delay


def _retire_moment(state: State, current: Certificate, now: datetime) -> datetime:
    """When the previous CAs may go: some time after a leaf of the current one has taken over."""
    if state.leaf is None or state.leaf_issuer != current.id:
        return now + RETIRE_AFTER
    return state.leaf.made + RETIRE_AFTER
