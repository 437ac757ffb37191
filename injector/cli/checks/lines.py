"""PURE. A line of the report, and when a report is good."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SHOWN: Final = 10
"""Things of one kind that a line names; the rest is counted."""


class Status(StrEnum):
    """✓, ✗ (which decides the exit code) or ! (worth knowing, and may be meant so)."""

    GOOD = "good"
    BAD = "bad"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: a sentence, what it is about, and what to do."""

    status: Status
    text: str
    details: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Lines about one part of the mesh."""

    title: str
    lines: tuple[Line, ...]


def good(text: str, *details: str) -> Line:
    """All is as it should be."""
    return Line(Status.GOOD, text, details)


def bad(text: str, *remedy: str, details: Iterable[str] = ()) -> Line:
    """Something is wrong; `remedy` says what to do about it."""
    return Line(Status.BAD, text, tuple(details), remedy)


def worth_knowing(text: str, *remedy: str, details: Iterable[str] = ()) -> Line:
    """Something that may be meant so."""
    return Line(Status.NOTE, text, tuple(details), remedy)


def some(things: Sequence[str]) -> tuple[str, ...]:
    """The first few, and how many more there are."""
    more = len(things) - SHOWN
    return (*things[:SHOWN], *((f"and {more} more",) if more > 0 else ()))


def count(number: int, thing: str) -> str:
    """The number with its noun, in the plural where it is not one."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def all_good(sections: Iterable[Section]) -> bool:
    """Whether nothing is wrong."""
    return not any(line.status is Status.BAD for section in sections for line in section.lines)
