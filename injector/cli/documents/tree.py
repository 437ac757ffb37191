"""From YAML events to plain values, without recursion: what depth and aliases may cost is bounded here."""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from injector.cli.documents.scalars import Scalar, resolve, tagged

MAX_DEPTH: Final = 200
"""Levels of nesting. CustomResourceDefinitions, the deepest objects in use, reach about 60."""

MAX_NODES: Final = 1_000_000
"""Values of one document after its aliases are expanded. An object of the API server's 3 MiB request limit has at most
1.5 million two-character values, real ones a tenth of that; nine lines of nested aliases could make a billion."""


class DocumentError(ValueError):
    """A document that cannot stand; `line` is where, as in the whole text."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


_UNSET: Final = object()
"""Where a mapping has no key that waits for its value."""

_MERGE: Final = object()
"""The key `<<`, unquoted."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still open."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    nodes_before: int
    depth: int = 1
    """Levels of nesting from here down, as far as it is read."""
    key: Any = _UNSET
    lines: dict[str, int] = field(default_factory=dict)
    """Where each key of a mapping stands, for the message about a second one."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """A finished value with what a copy of it costs."""

    value: Any
    nodes: int
    depth: int


class _Builder:
    """Takes events one by one; `roots` are the finished documents."""

    def __init__(self, first_line: int) -> None:
        self.roots: list[Any] = []
        self._first_line = first_line
        self._open: list[_Frame] = []
        self._anchors: dict[str, _Finished] = {}
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        line = (event.start_mark.line if event.start_mark else 0) + self._first_line
        if isinstance(event, yaml.ScalarEvent):
            self._count(1, line)
            leaf = _Finished(_scalar(event, line), nodes=1, depth=0)
            self._remember(event.anchor, leaf)
            self._add(leaf, line, plain=_is_plain(event))
        elif isinstance(event, yaml.AliasEvent):
            known = self._anchored(event.anchor or "", line)
            self._count(known.nodes, line)
            self._bound(known.depth, line)
            self._add(_Finished(copy.deepcopy(known.value), known.nodes, known.depth), line, plain=False)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self._open.pop()
            whole = _Finished(frame.value, self._nodes - frame.nodes_before, frame.depth)
            self._remember(frame.anchor, whole)
            self._add(whole, line, plain=False)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        self._bound(1, line)
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Frame(value, event.anchor, self._nodes))
        self._count(1, line)
        if event.anchor:
            self._anchors.pop(event.anchor, None)  # not to be used before it is complete

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise DocumentError(f"more than {MAX_NODES:,} values once its aliases are expanded", line)

    def _bound(self, more: int, line: int) -> None:
        if len(self._open) + more > MAX_DEPTH:
            raise DocumentError(f"nested more than {MAX_DEPTH} levels deep", line)

    def _remember(self, anchor: str | None, known: _Finished) -> None:
        if anchor:
            self._anchors[anchor] = known

    def _anchored(self, anchor: str, line: int) -> _Finished:
        if anchor not in self._anchors:
            raise DocumentError(f"*{anchor} has no &{anchor} that is complete before it", line)
        return self._anchors[anchor]

    def _add(self, made: _Finished, line: int, *, plain: bool) -> None:
        value = made.value
        if not self._open:
            self.roots.append(value)
            return
        frame = self._open[-1]
        frame.depth = max(frame.depth, made.depth + 1)
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is _UNSET:
            frame.key = _MERGE if plain and value == "<<" else _key(value, line)
            self._refuse_second(frame, line)
        else:
            if frame.key is _MERGE:
                _merge(frame.value, value, line)
            else:
                frame.value[frame.key] = value
            frame.key = _UNSET

    @staticmethod
    def _refuse_second(frame: _Frame, line: int) -> None:
        if frame.key is _MERGE:
            return
        if (first := frame.lines.get(frame.key)) is not None:
            raise DocumentError(f"the key {frame.key[:64]!r} stands here again (first in line {first})", line)
        frame.lines[frame.key] = line


def _is_plain(event: yaml.ScalarEvent) -> bool:
    return not event.style and event.implicit[0]


def _scalar(event: yaml.ScalarEvent, line: int) -> Scalar:
    if _is_plain(event):
        value = resolve(event.value)
    elif event.tag is None or event.tag == "!":
        return event.value
    else:
        try:
            value = tagged(event.tag, event.value)
        except ValueError as fault:
            raise DocumentError(str(fault), line) from fault
    if isinstance(value, float) and not math.isfinite(value):
        raise DocumentError(f"{event.value} is no number that JSON has; put a string in quotes", line)
    return value


def _key(value: Any, line: int) -> str:
    """A mapping's key as JSON has it: kubectl sends `true` for an unquoted `on`, and `8` for `010`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise DocumentError(f"a key must be a text, got {'null' if value is None else type(value).__name__}", line)


def _merge(mapping: dict[str, Any], merged: Any, line: int) -> None:
    """`<<: *base`, or a list of such; as with kubectl, what comes later in the text wins."""
    for source in reversed(merged) if isinstance(merged, list) else (merged,):
        if not isinstance(source, dict):
            raise DocumentError(f"<< takes a mapping or a list of mappings, got {type(source).__name__}", line)
        mapping.update(source)


def build(events: Iterable[yaml.Event], first_line: int) -> list[Any]:
    """The values of the documents that the events make up, whose text begins at `first_line`; raises DocumentError."""
    builder = _Builder(first_line)
    for event in events:
        builder.take(event)
    return builder.roots
