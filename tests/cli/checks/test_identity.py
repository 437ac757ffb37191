"""What `check` says of roots, issuers and rotations, and of the proxies' versions."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest

from injector.cli.checks import versions
from injector.cli.checks.identity import identity_lines
from injector.cli.checks.lines import Line, Status
from injector.kube.errors import Forbidden, NotFound
from tests.cli.checks.test_certificates import NOW
from tests.cli.checks.test_members import FACTS
from tests.cli.cluster_objects import meshed, pod

ROTATION: dict[str, Any] = {
    "id": "one",
    "kind": "root",
    "by": "command",
    "phase": "roots",
    "startedAt": NOW.isoformat(),
    "phaseSince": NOW.isoformat(),
    "finishedAt": None,
    "forced": False,
    "pods": 30,
    "behind": 21,
    "laggards": [{"pod": f"shop/web-{number}", "why": "does not accept the new root yet"} for number in range(20)],
}


def dated(fingerprint: str, days: float, lifetime: float = 365, **more: str) -> dict[str, str]:
    end = NOW + timedelta(days=days)
    start = end - timedelta(days=lifetime)
    return {"fingerprint": fingerprint, "notBefore": start.isoformat(), "notAfter": end.isoformat()} | more


def published(root_days: float = 3000, issuer_days: float | None = 200, **more: Any) -> dict[str, Any]:
    """ConfigMap injector-identity as the controller writes it."""
    state = {
        "version": 1,
        "mode": "made",
        "currentRoot": "aa" * 32,
        "roots": [dated("aa" * 32, root_days, 3650, role="current")],
        "issuer": None if issuer_days is None else dated("bb" * 32, issuer_days),
        "issuerWanted": 0,
        "command": "",
        "faults": [],
        "rotation": None,
    } | more
    return {"metadata": {"name": "injector-identity"}, "data": {"state.json": json.dumps(state)}}


def lines(found: Any, fail_within: float = 0) -> list[Line]:
    return list(identity_lines(found, NOW, timedelta(days=fail_within)))


def test_all_is_well() -> None:
    assert [line.status for line in lines(published())] == [Status.GOOD, Status.GOOD]
    assert "200 days left" in lines(published())[1].text


@pytest.mark.parametrize(
    ("found", "part", "remedy"),
    [
        (NotFound("no", status=404), "no roots", "logs"),
        ({"data": {"state.json": "{"}}, "state.json", "logs"),
        ({"data": {}}, "state.json", "logs"),
        (published(issuer_days=None), "no issuer", "logs"),
        (published(faults=["the root's Secret is damaged"]), "damaged", "logs"),
        (published(root_days=-1), "root (current): expired 24 hours ago", "rotate root --force"),
        (published(issuer_days=-0.5), "issuer: expired 12 hours ago", "rotate root --force"),
        (published(issuer_days=-1, mode="given"), "issuer: expired", "install --root-ca"),
        (published(root_days=4000), "not valid before", "clocks"),
    ],
)
def test_what_is_wrong_and_what_to_do(found: Any, part: str, remedy: str) -> None:
    (line,) = [line for line in lines(found) if line.status is Status.BAD]
    assert part in line.text
    assert any(remedy in step for step in line.remedy)


@pytest.mark.parametrize(
    ("issuer_days", "fail_within", "status"),
    [(61, 0, Status.GOOD), (59, 0, Status.NOTE), (59, 30, Status.NOTE), (29, 30, Status.BAD), (100, 120, Status.BAD)],
)
def test_two_months_before_the_end_it_is_said_and_scripts_may_fail_earlier_or_later(
    issuer_days: float, fail_within: float, status: Status
) -> None:
    line = lines(published(issuer_days=issuer_days), fail_within)[1]
    assert line.status is status
    if status is not Status.GOOD:
        assert line.remedy == ("injector identity rotate issuer",)


def test_a_short_lifetime_that_somebody_chose_is_no_fault() -> None:
    assert lines(published(issuer=dated("bb" * 32, 0.9, 1)))[1].status is Status.GOOD
    assert lines(published(issuer=dated("bb" * 32, 0.1, 1)))[1].status is Status.NOTE


def test_a_rotation_that_runs_names_who_holds_it_up() -> None:
    line = lines(published(rotation=ROTATION))[-1]
    assert line.status is Status.NOTE
    assert line.details[0] == "waits for 21 of 30 pods:"
    assert line.details[1] == "shop/web-0: does not accept the new root yet"
    assert line.details[-1] == "and 1 more"
    assert len(lines(published(rotation=ROTATION | {"phase": "done"}))) == 2


def test_what_may_not_be_read_is_not_judged() -> None:
    assert lines(Forbidden("no", status=403)) == []


def test_proxies_are_listed_by_version_with_how_to_renew_them() -> None:
    old = meshed(pod("old", "shop"))
    old["spec"]["initContainers"][-1]["image"] = "registry.example/proxy:0"
    ended = meshed(pod("ended", "shop")) | {"status": {"phase": "Succeeded"}}
    facts = dataclasses.replace(FACTS, pods=[meshed(pod("new", "shop")), old, pod("plain", "shop"), ended])
    (section,) = versions.sections(facts)
    assert [(line.status, line.details) for line in section.lines] == [
        (Status.GOOD, ("shop/new",)),
        (Status.NOTE, ("shop/old",)),
    ]
    assert "registry.example/proxy:0" in section.lines[1].text
    assert section.lines[1].remedy == ("injector enable shop --restart",)
    (empty,) = versions.sections(FACTS)
    assert [line.text for line in empty.lines] == ["no pod has a proxy"]
