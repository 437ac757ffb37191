"""PURE. What the controller says of the mesh's roots, issuer and rotation, read and put into lines for a person."""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from injector.cli.checks.lines import count
from injector.cli.outcome import CommandError
from injector.inject.model import Json
from injector.inject.names import SYSTEM_NAMESPACE

PUBLISHED: Final = "injector-identity"
COMMAND: Final = "injector-identity-rotation"
STATE_KEY: Final = "state.json"
COMMAND_KEY: Final = "request.json"

SHORT: Final = 12
"""Digits of a fingerprint that tell a cluster's few certificates apart."""

DONE: Final = "done"

PHASES: Final = {
    "namespaces": "the new root goes to every namespace",
    "roots": "every proxy is to accept the new root",
    "issuer": "a new issuer is made and signed",
    "certificates": "every proxy is to have a certificate of the new issuer",
    DONE: "done",
}


@dataclass(frozen=True, slots=True)
class Dated:
    """A certificate by its fingerprint, what it is (root: current, next, previous, given; or issuer), and its life."""

    what: str
    fingerprint: str
    not_before: datetime.datetime
    not_after: datetime.datetime


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation as far as it has come. `laggards` are some of those who are `behind`, with why."""

    id: str
    kind: str
    phase: str
    forced: bool
    pods: int
    behind: int
    laggards: tuple[tuple[str, str], ...]

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self.phase == DONE


@dataclass(frozen=True, slots=True)
class IdentityState:
    """The whole of state.json."""

    given: bool
    certificates: tuple[Dated, ...]
    faults: tuple[str, ...]
    rotation: Rotation | None


def read_state(config_map: Json) -> IdentityState:
    """The state in ConfigMap injector-identity; ends the command where there is none that can be read."""
    text = (config_map.get("data") or {}).get(STATE_KEY, "")
    try:
        said = json.loads(text)
        roots = [_dated(f"root ({root['role']})", root) for root in said["roots"]]
        issuer = [_dated("issuer", said["issuer"])] if said.get("issuer") else []
        rotation = _rotation(said["rotation"]) if said.get("rotation") else None
        faults = tuple(map(str, said.get("faults") or ()))
        return IdentityState(said.get("mode") == "given", (*roots, *issuer), faults, rotation)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        where = f"ConfigMap {SYSTEM_NAMESPACE}/{PUBLISHED}, {STATE_KEY}"
        logs = f"kubectl logs -n {SYSTEM_NAMESPACE} deployment/injector-controller"
        raise CommandError(f"{where}: expected what the controller writes, got {text[:80]!r}; see {logs}") from error


def _dated(what: str, said: dict[str, Any]) -> Dated:
    moments = (datetime.datetime.fromisoformat(said[key]) for key in ("notBefore", "notAfter"))
    return Dated(what, str(said["fingerprint"]), *moments)


def _rotation(said: dict[str, Any]) -> Rotation:
    return Rotation(
        id=str(said["id"]),
        kind=str(said["kind"]),
        phase=str(said["phase"]),
        forced=said.get("forced") is True,
        pods=int(said.get("pods", 0)),
        behind=int(said.get("behind", 0)),
        laggards=tuple((str(one["pod"]), str(one["why"])) for one in said.get("laggards") or ()),
    )


def certificate_table(state: IdentityState, now: datetime.datetime) -> list[tuple[str, str, str, str]]:
    """A row a certificate: what it is, the start of its fingerprint, its age, and when it ends."""
    return [
        (
            one.what,
            one.fingerprint[:SHORT],
            f"{span(now - one.not_before)} old",
            f"until {one.not_after:%Y-%m-%d %H:%M} UTC, {left(one.not_after, now)}",
        )
        for one in state.certificates
    ]


def left(end: datetime.datetime, now: datetime.datetime) -> str:
    """ "300 days left", or "expired 2 hours ago"."""
    return f"{span(end - now)} left" if end > now else f"expired {span(now - end)} ago"


def span(time: datetime.timedelta) -> str:
    """A time in its largest unit, whole."""
    seconds = int(time.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return count(seconds // size, unit)
    return count(seconds, "second")


def rotation_lines(rotation: Rotation) -> Iterator[str]:
    """How far it has come, and who holds it up."""
    forced = " (forced)" if rotation.forced else ""
    yield f"rotation of the {rotation.kind}{forced}: {PHASES.get(rotation.phase, rotation.phase)}"
    if rotation.behind and not rotation.done:
        yield f"  waits for {rotation.behind} of {count(rotation.pods, 'pod')}:"
        yield from (f"    {pod}: {why}" for pod, why in rotation.laggards)
        if rotation.behind > len(rotation.laggards):
            yield f"    and {rotation.behind - len(rotation.laggards)} more"
