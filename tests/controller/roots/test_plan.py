"""The plan of roots as a table: what is observed, and the one step that follows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from injector.controller.roots.plan import Asked, Phase, Policy, State, Step, bundle, due, heirs, phase, plan
from injector.pki import make_root

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)
SETTLE = timedelta(seconds=60)
POLICY = Policy(timedelta(days=3650), timedelta(days=365), SETTLE)
OLD, NEW, ISSUER = (make_root(START, POLICY.root_lifetime).certificate for _ in range(3))
DEAD = make_root(START - timedelta(days=99), timedelta(days=30)).certificate
AGED = make_root(START - timedelta(days=3000), POLICY.root_lifetime).certificate

REST: dict[str, Any] = {"current": OLD, "trusted": (OLD,), "issuer": ISSUER, "issuer_root": OLD.id}
SPREADING = REST | {"next": NEW, "trusted": (OLD, NEW), "everywhere_since": NOW - SETTLE}
REPLACING: dict[str, Any] = {
    "current": NEW,
    "previous": (OLD,),
    "trusted": (NEW, OLD),
    "issuer": ISSUER,
    "issuer_root": NEW.id,
    "reissued_since": NOW - SETTLE,
}


@pytest.mark.parametrize(
    ("observed", "step"),
    [
        ({}, Step.CREATE_ROOT),
        ({"trusted": (DEAD,)}, Step.CREATE_ROOT),
        ({"trusted": (OLD,)}, Step.PREPARE_ROOT),
        ({"current": OLD}, Step.PUBLISH),
        (REST, None),
        (REST | {"requested": True}, Step.SIGN_ISSUER),
        (REST | {"asked": Asked.ISSUER}, Step.WANT_ISSUER),
        (REST | {"asked": Asked.ROOT}, Step.PREPARE_ROOT),
        (REST | {"current": AGED, "trusted": (AGED,)}, Step.PREPARE_ROOT),
        (REST | {"current": DEAD, "trusted": (DEAD,)}, Step.PREPARE_ROOT),
        (REST | {"next": NEW}, Step.PUBLISH),
        (SPREADING | {"without_root": 1}, None),
        (SPREADING | {"without_root": 1, "forced": True}, Step.PROMOTE_ROOT),
        (SPREADING | {"everywhere_since": NOW - SETTLE / 2}, None),
        (SPREADING | {"everywhere_since": None}, None),
        (SPREADING | {"everywhere_since": None, "forced": True}, Step.PROMOTE_ROOT),
        (SPREADING, Step.PROMOTE_ROOT),
        (SPREADING | {"requested": True, "without_root": 1}, Step.SIGN_ISSUER),
        (SPREADING | {"asked": Asked.ISSUER, "without_root": 1}, None),
        (SPREADING | {"current": DEAD, "trusted": (DEAD, NEW), "without_root": 9}, Step.PROMOTE_ROOT),
        (SPREADING | {"next": DEAD, "trusted": (OLD, DEAD)}, Step.PREPARE_ROOT),
        (REPLACING, Step.RETIRE_ROOTS),
        (REPLACING | {"without_certificate": 1}, None),
        (REPLACING | {"without_certificate": 1, "forced": True}, Step.RETIRE_ROOTS),
        (REPLACING | {"reissued_since": NOW}, None),
        (REPLACING | {"issuer_root": OLD.id}, None),
        (REPLACING | {"issuer_root": OLD.id, "forced": True}, None),
        (REPLACING | {"issuer_root": OLD.id, "requested": True}, Step.SIGN_ISSUER),
        (REPLACING | {"issuer": DEAD}, None),
        (REPLACING | {"asked": Asked.ROOT, "without_certificate": 1}, None),
    ],
)
def test_one_step_follows_from_what_is_observed(observed: dict[str, Any], step: Step | None) -> None:
    assert plan(State(**observed), POLICY, NOW).step is step


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (REST, Phase.DONE),
        (SPREADING | {"everywhere_since": None}, Phase.NAMESPACES),
        (SPREADING, Phase.ROOTS),
        (REPLACING | {"issuer_root": OLD.id}, Phase.ISSUER),
        (REPLACING, Phase.CERTIFICATES),
    ],
)
def test_the_phase_says_what_is_waited_for(observed: dict[str, Any], expected: Phase) -> None:
    assert phase(State(**observed)) is expected


def test_it_looks_again_when_something_falls_due() -> None:
    assert plan(State(**REST), POLICY, NOW).again == due(OLD, POLICY)
    half = NOW - SETTLE / 2
    assert plan(State(**SPREADING | {"everywhere_since": half}), POLICY, NOW).again == half + SETTLE
    assert plan(State(**REPLACING | {"reissued_since": half}), POLICY, NOW).again == half + SETTLE
    assert plan(State(), POLICY, NOW).again is None


@pytest.mark.parametrize("lifetime", [timedelta(minutes=3), timedelta(days=3650)])
def test_a_new_root_is_never_due_and_always_before_it_ends(lifetime: timedelta) -> None:
    policy = Policy(lifetime, lifetime / 10, SETTLE)
    root = make_root(START, lifetime).certificate
    assert START + lifetime / 2 < due(root, policy) < root.not_after
    longer = Policy(lifetime * 10, lifetime, SETTLE)
    assert due(root, longer) > START - timedelta(hours=1), "a raised setting alone replaces nothing at once"


def test_the_bundle_names_each_root_once_and_the_successor_is_nobodys_heir() -> None:
    state = State(current=OLD, next=NEW, previous=(DEAD, OLD), trusted=(NEW, OLD))
    assert bundle(state) == (OLD, NEW, DEAD)
    assert heirs(state, NEW) == (OLD, DEAD)
    assert heirs(State(trusted=(OLD, NEW)), ISSUER) == (OLD, NEW)
