"""`injector identity roots` and `rotate` against a cluster that is a dictionary."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from injector.cli import identity, rotation
from injector.cli.outcome import CommandError
from injector.inject.names import SYSTEM_NAMESPACE
from injector.kube.resources import CONFIG_MAPS
from tests.cli.checks.test_identity import ROTATION, published
from tests.cli.conftest import FakeKube, Run

COMMAND = CONFIG_MAPS.path(namespace=SYSTEM_NAMESPACE, name=identity.COMMAND)


def put(kube: FakeKube, **more: Any) -> None:
    found = published(**more)
    found["metadata"]["namespace"] = SYSTEM_NAMESPACE
    kube.put(CONFIG_MAPS, found)


def test_roots_are_shown_with_their_ages_and_the_rotation(kube: FakeKube, run: Run) -> None:
    put(kube, rotation=ROTATION)
    result = run("identity", "roots")
    assert result.code == 0
    assert "root (current)  aaaaaaaaaaaa" in result.out
    assert "issuer          bbbbbbbbbbbb" in result.out
    assert "rotation of the root: every proxy is to accept the new root" in result.out
    assert "shop/web-0: does not accept the new root yet" in result.out
    assert json.loads(run("identity", "roots", "-o", "json").out)["rotation"]["kind"] == "root"


def test_without_a_mesh_roots_says_so(kube: FakeKube, run: Run) -> None:
    assert run("identity", "roots").code == 1


def test_given_roots_are_not_ours_to_rotate(kube: FakeKube, run: Run) -> None:
    put(kube, mode="given")
    assert "given by you" in run("identity", "roots").out
    result = run("identity", "rotate", "root")
    assert result.code == 1
    assert "--root-ca" in result.err
    assert COMMAND not in kube.objects


@pytest.mark.parametrize("force", [True, False])
def test_a_rotation_is_asked_for_and_left_to_the_controller(kube: FakeKube, run: Run, force: bool) -> None:
    put(kube)
    result = run("identity", "rotate", "issuer", "--detach", *(["--force"] if force else []))
    assert result.code == 0
    (request,) = [json.loads(body["data"][identity.COMMAND_KEY]) for _, path, body in kube.log if path == COMMAND]
    assert (request["kind"], request["force"]) == ("issuer", force)
    assert request["id"] in result.out


def test_a_wrong_duration_is_wrong_usage(kube: FakeKube, run: Run) -> None:
    for text in ("10", "m", "-5m", "5w", "1.5h"):
        assert run("identity", "rotate", "root", "--timeout", text).code == 2


def states(*phases: str, request: str = "one") -> Any:
    """A cluster that goes from one phase to the next each time it is looked at."""
    waiting = list(phases)

    async def look() -> identity.IdentityState:
        phase = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return identity.read_state(published(rotation=ROTATION | {"id": request, "phase": phase}))

    return look


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(rotation, "TAKEN_UP_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
def test_each_phase_is_told_once_until_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(rotation.follow(states("namespaces", "roots", "roots", "roots", "issuer", "done"), "one"))
    out = capsys.readouterr().out
    assert out.count("every proxy is to accept the new root") == 1
    assert out.splitlines()[-1] == "rotation of the root: done"


@pytest.mark.usefixtures("quick")
def test_whoever_waits_too_long_hears_that_it_goes_on() -> None:
    with pytest.raises(CommandError, match="goes on by itself"):
        asyncio.run(rotation.follow(states("roots"), "one", timedelta(seconds=0.1)))


@pytest.mark.usefixtures("quick")
def test_a_controller_that_does_not_take_it_up_is_told_of() -> None:
    with pytest.raises(CommandError, match="has not taken it up"):
        asyncio.run(rotation.follow(states("done", request="another"), "one"))
