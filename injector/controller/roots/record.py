"""What is remembered of rotations, and shown to people: `state.json` of ConfigMap injector-identity (pure).

Only two things in it are not to be seen elsewhere: which request was taken up, and since when a phase lasts. Losing
them costs a repeated rotation or a longer wait, never a connection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson

from injector.controller.roots.plan import Asked, Phase, State, phase

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_LAGGARDS = 20
"""Pods that are named; the rest is counted. A name of 253 characters and its reason make 6 KB at most."""


MOST_WANTED = 2**53
"""Above this not every reader of JSON counts exactly; it is the year 285 million."""


class Kind(Enum):
    """What is rotated."""

    ISSUER = "issuer"
    ROOT = "root"


class By(Enum):
    """Who began a rotation."""

    COMMAND = "command"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asked for: ConfigMap injector-identity-rotation, key request.json."""

    id: str
    kind: Kind
    force: bool


@dataclass(frozen=True, slots=True)
class Laggard:
    """Who holds a rotation up, `namespace/name`, and why, in words."""

    pod: str
    why: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation. `since` is when its phase began, `before` the issuer's fingerprint at its start, `pods` how many
    are asked and `behind` how many of them it waits for, some of which `laggards` names."""

    id: str
    kind: Kind
    by: By
    phase: Phase
    started: datetime
    since: datetime
    forced: bool = False
    before: str = ""
    finished: datetime | None = None
    pods: int = 0
    behind: int = 0
    laggards: tuple[Laggard, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """`issuer_wanted` grows with every wish for another issuer; `command` is the id of the one taken up last."""

    issuer_wanted: int = 0
    rotation: Rotation | None = None
    command: str = ""

    @property
    def running(self) -> Rotation | None:
        """The rotation that is not finished."""
        return self.rotation if self.rotation is not None and self.rotation.finished is None else None

    def news(self, command: Command | None) -> Command | None:
        """The command, if it has not been taken up."""
        return None if command is None or command.id == self.command else command


def asked(record: Record, command: Command | None) -> Asked:
    """What of the command is still to be begun: nothing where it was taken up, or one of its kind runs already."""
    news, running = record.news(command), record.running
    if news is None:
        return Asked.NOTHING
    if news.kind is Kind.ROOT:
        return Asked.ROOT
    return Asked.NOTHING if running is not None and running.kind is Kind.ISSUER else Asked.ISSUER


def forced(record: Record, command: Command | None) -> bool:
    """Whether what runs goes on past laggards."""
    news, running = record.news(command), record.running
    told = news is not None and news.force
    if running is None:
        return told
    return running.forced or (told and news is not None and news.kind is running.kind)


def want_issuer(record: Record, state: State, command: Command, now: datetime) -> Record:
    """Begin the issuer's rotation. The counter is a time where that is higher: a lost record does not set it back."""
    rotation = Rotation(
        command.id,
        Kind.ISSUER,
        By.COMMAND,
        Phase.ISSUER,
        started=now,
        since=now,
        forced=command.force,
        before=state.issuer.id if state.issuer else "",
    )
    return Record(max(record.issuer_wanted + 1, int(now.timestamp())), rotation, command.id)


def follow(record: Record, state: State, command: Command | None, now: datetime) -> Record:
    """The record after what is observed: a rotation begun, gone on, or finished. A root's rotation is seen in the roots
    themselves, so one that began just before its controller died is found; it stands for an unfinished one of the
    issuer too, for it brings a new issuer."""
    rotation = record.running
    if state.rotating and (rotation is None or rotation.kind is not Kind.ROOT):
        rotation = Rotation(f"age-{now:%Y%m%d%H%M%S}", Kind.ROOT, By.AGE, phase(state), started=now, since=now)
    if rotation is None:
        return record
    news = record.news(command)
    if news is not None and news.kind is rotation.kind and not (rotation.kind is Kind.ROOT and not state.rotating):
        # Whoever asked last sees the end of what runs.
        rotation = replace(rotation, id=news.id, by=By.COMMAND, forced=rotation.forced or news.force)
        record = replace(record, command=news.id)
    reached = phase(state) if rotation.kind is Kind.ROOT else _issuer_phase(rotation, state)
    return replace(record, rotation=_moved(rotation, reached, now))


def _issuer_phase(rotation: Rotation, state: State) -> Phase:
    if state.issuer is None or state.issuer.id == rotation.before:
        return Phase.ISSUER
    return Phase.DONE if rotation.forced or state.without_certificate == 0 else Phase.CERTIFICATES


def _moved(rotation: Rotation, to: Phase, now: datetime) -> Rotation:
    if to is Phase.DONE:
        return replace(rotation, phase=to, since=now, finished=now, behind=0, laggards=())
    return rotation if to is rotation.phase else replace(rotation, phase=to, since=now)


def counted(record: Record, asked_of: int, laggards: Sequence[Laggard]) -> Record:
    """The record with how many are asked and who is behind."""
    running = record.running
    if running is None:
        return record
    named = tuple(laggards[:MOST_LAGGARDS])
    return replace(record, rotation=replace(running, pods=asked_of, behind=len(laggards), laggards=named))


def read_command(text: str) -> Command | None:
    """The command in request.json; None where there is none that makes sense."""
    try:
        said = orjson.loads(text)
        return Command(str(said["id"])[:64], Kind(said["kind"]), said.get("force") is True)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def read_record(text: str) -> Record:
    """The record in state.json; an empty one where it cannot be read."""
    try:
        said = orjson.loads(text)
        found = said.get("rotation")
        rotation = _read_rotation(found) if found else None
        wanted = int(said.get("issuerWanted", 0))
        return Record(wanted if 0 <= wanted < MOST_WANTED else 0, rotation, str(said.get("command", "")))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return Record()


def _read_rotation(said: dict[str, Any]) -> Rotation:
    return Rotation(
        id=str(said["id"]),
        kind=Kind(said["kind"]),
        by=By(said["by"]),
        phase=Phase(said["phase"]),
        started=_moment(said["startedAt"]),
        since=_moment(said["phaseSince"]),
        forced=said.get("forced") is True,
        before=str(said.get("issuerBefore", "")),
        finished=_moment(said["finishedAt"]) if said.get("finishedAt") else None,
        pods=int(said.get("pods", 0)),
        behind=int(said.get("behind", 0)),
        laggards=tuple(Laggard(str(one["pod"]), str(one["why"])) for one in said.get("laggards") or ()),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"expected a time with its zone, got {text}")
    return moment


def rotation_json(rotation: Rotation | None) -> dict[str, Any] | None:
    """The rotation as state.json has it."""
    if rotation is None:
        return None
    return {
        "id": rotation.id,
        "kind": rotation.kind.value,
        "by": rotation.by.value,
        "phase": rotation.phase.value,
        "startedAt": rotation.started.isoformat(),
        "phaseSince": rotation.since.isoformat(),
        "finishedAt": rotation.finished.isoformat() if rotation.finished else None,
        "forced": rotation.forced,
        "issuerBefore": rotation.before,
        "pods": rotation.pods,
        "behind": rotation.behind,
        "laggards": [{"pod": one.pod, "why": one.why} for one in rotation.laggards],
    }
