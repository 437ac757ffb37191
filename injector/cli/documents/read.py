"""From a text of YAML or JSON to its documents, or to everything that is wrong with it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from injector.cli.documents.tree import DocumentError, build

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of one text. An object has at most 1.5 MiB in etcd (its default request limit); this is twenty of the largest."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML has it: about ten times as fast, and the same events."""

_SEPARATOR: Final = re.compile(r"^---(?=\s|$)[ \t]*", re.MULTILINE)
"""YAML forbids this at the start of a line within any scalar (rule c-forbidden), so a text can be cut before parsing,
and a fault in one document does not hide those in the next."""

_COMMENTS_ONLY: Final = re.compile(r"(\s*(#[^\n]*)?(\n|\Z))*")


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its source and line (from 1), its own text without separators, and its value as JSON has it.

    `value` is None where the text holds comments only.
    """

    source: str
    line: int
    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one place of an input; `line` is None where the whole of it is meant."""

    source: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}" if self.line else f"{self.source}: {self.reason}"


def read_documents(data: bytes, source: str) -> tuple[list[Document], list[Fault]]:
    """The documents of a text in their order, and all its faults; where there are faults, documents are missing."""
    if len(data) > MAX_BYTES:
        return [], [Fault(source, None, f"expected at most {MAX_BYTES:,} bytes, got {len(data):,}")]
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as fault:
        return [], [Fault(source, data.count(b"\n", 0, fault.start) + 1, f"not UTF-8: byte {data[fault.start]:#04x}")]
    if text.lstrip()[:1] == "{" and (parsed := _json_stream(text, source)) is not None:
        return parsed, []
    documents, faults = [], []
    for line, part in _parts(text):
        try:
            document = _document(source, line, part)
        except DocumentError as fault:
            faults.append(Fault(source, fault.line, fault.reason))
        else:
            documents += [document] if document else []
    return documents, faults


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The texts between separators, each with the line where it begins."""
    start, line = 0, 1
    for separator in _SEPARATOR.finditer(text):
        yield line, text[start : separator.start()]
        line += text.count("\n", start, separator.end())
        start = separator.end()
    yield line, text[start:]


def _document(source: str, line: int, part: str) -> Document | None:
    if not part.strip():
        return None
    if _COMMENTS_ONLY.fullmatch(part):
        return Document(source, line, _tidy(part), None)
    try:
        values = build(yaml.parse(part, Loader=_LOADER), line)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise DocumentError(_reason(fault), line + mark.line if mark else line) from fault
    except yaml.reader.ReaderError as fault:
        raise DocumentError(
            f"{fault.reason} (#x{_code_point(fault.character):04x})", line + part.count("\n", 0, fault.position)
        ) from fault
    if len(values) > 1:
        raise DocumentError("a second document without a line --- before it", line)
    leading = len(part) - len(part.lstrip("\n"))
    return Document(source, line + leading, _tidy(part), values[0] if values else None)


def _tidy(part: str) -> str:
    return part.strip("\n") + "\n"


def _reason(fault: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (fault.context, fault.problem) if part) or "not YAML"


def _code_point(character: Any) -> int:
    return character if isinstance(character, int) else ord(character[:1])


def _json_stream(text: str, source: str) -> list[Document] | None:
    """JSON objects one after another, as `kubectl get -o json` of several writes them; None where it is not that."""
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    documents, at = [], 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None  # YAML's parser says what is wrong, or that it is YAML in flow style after all
        documents.append(Document(source, text.count("\n", 0, at) + 1, text[at:end] + "\n", value))
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return documents


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key twice")
    return value
