"""Texts to documents: read as kubectl reads them, with every fault and its line."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from injector.cli.documents import read, tree
from injector.cli.documents.read import read_documents
from injector.cli.documents.write import join, to_yaml

SCALARS: list[tuple[str, Any]] = [
    ("on", True), ("off", False), ("yes", True), ("no", False), ("y", True), ("n", False), ("True", True),
    ("~", None), ("null", None), ("", None),
    ("010", 8), ("0o10", 8), ("0x1F", 31), ("-0x1F", -31), ("0b11", 3), ("1_000", 1000), ("0_1", 1), ("08", 8),
    ("09", 9),
    ("1:30", "1:30"), ("1e3", 1000), ("1.0", 1), ("1.10", 1.1), (".5", 0.5), ("+1", 1), ("-0", 0), ("0.1e-2", 0.001),
    ("2001-01-01", "2001-01-01"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
    ("9007199254740993", 9007199254740993), ("1E400", "1E400"), ("'on'", "on"), ('"1"', "1"),
    ("!!str 12", "12"), ("!!int '12'", 12), ("!!binary aGk=", "hi"), ("!foo bar", "bar"), ("=", "="),
    ("1e3x", "1e3x"), ("__1", "__1"), ("0o8", "0o8"), ("1,000", "1,000"), ("-.inf2", "-.inf2"),
]  # fmt: skip
"""Scalars and what `kubectl annotate --local -o json` makes of them; test_kubectl.py asks a kubectl."""


def values(text: str) -> list[Any]:
    documents, faults = read_documents(text.encode(), "t.yaml")
    assert faults == []
    return [document.value for document in documents]


def faults_of(text: str | bytes) -> list[str]:
    return [str(fault) for fault in read_documents(text.encode() if isinstance(text, str) else text, "t.yaml")[1]]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_means_what_it_means_to_kubectl(text: str, value: Any) -> None:
    (document,) = values(f"k: {text}\n")
    assert json.dumps(document) == json.dumps({"k": value})


@pytest.mark.parametrize(
    ("key", "name"), [("on", "true"), ("no", "false"), ("1", "1"), ("010", "8"), ("a", "a"), ("'on'", "on")]
)
def test_keys_become_texts_as_in_json(key: str, name: str) -> None:
    assert values(f"{key}: v\n") == [{name: "v"}]


def test_documents_keep_their_order_their_text_and_their_line() -> None:
    text = "# head\n---\n\nkind: A # why\n--- # b\nkind: B\n---\n---\n{kind: C}\n"
    documents, faults = read_documents(text.encode(), "t.yaml")
    assert not faults
    assert [(document.line, document.text) for document in documents] == [
        (1, "# head\n"),
        (4, "kind: A # why\n"),
        (5, "# b\nkind: B\n"),
        (9, "{kind: C}\n"),
    ]
    again, _ = read_documents(join([document.text for document in documents]).encode(), "again")
    assert [document.value for document in again] == [document.value for document in documents]


def test_a_byte_order_mark_and_windows_lines_are_no_surprise() -> None:
    assert values("\ufeffa: 1\r\nb: |\r\n  x\r\n  y\r\n") == [{"a": 1, "b": "x\ny\n"}]


def test_a_separator_inside_a_block_is_text() -> None:
    assert values("a: |\n  ---\n  b\nc: 1\n") == [{"a": "---\nb\n", "c": 1}]


def test_json_objects_one_after_another() -> None:
    documents, faults = read_documents(b'{"a": 1}\n{"b": {"c": [1.5, null]}}\n', "t.json")
    assert not faults
    assert [(document.line, document.value) for document in documents] == [
        (1, {"a": 1}),
        (2, {"b": {"c": [1.5, None]}}),
    ]


def test_anchors_are_copies_and_merges_follow_the_text_s_order() -> None:
    (value,) = values("base: &b {a: [1]}\nsame: *b\nover: {<<: *b, c: 2}\nmany: {<<: [*b, {a: 9, d: 4}]}\n")
    assert value == {"base": {"a": [1]}, "same": {"a": [1]}, "over": {"a": [1], "c": 2}, "many": {"a": [1], "d": 4}}
    value["same"]["a"].append(2)
    assert value["base"] == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "t.yaml:3: the key 'a' stands here again (first in line 1)"),
        ("x: 1\n---\na: {b: 1, b: 2}\n", "t.yaml:3: the key 'b' stands here again (first in line 3)"),
        ('{"a": 1, "a": 2}', "t.yaml:1: the key 'a' stands here again (first in line 1)"),
        ("1: a\n'1': b\n", "t.yaml:2: the key '1' stands here again (first in line 1)"),
        ("a: 1\n b: 2\n", "t.yaml:2: mapping values are not allowed in this context"),
        ("\ta: 1\n", "t.yaml:1: while scanning for the next token, found character that cannot start any token"),
        ("a: *nope\n", "t.yaml:1: *nope has no &nope that is complete before it"),
        ("a: &a [*a]\n", "t.yaml:1: *a has no &a that is complete before it"),
        ("? [1]\n: 2\n", "t.yaml:1: a key must be a text, got list"),
        ("null: 2\n", "t.yaml:1: a key must be a text, got null"),
        ("a: !!int x\n", "t.yaml:1: expected a value for !!int, got 'x'"),
        ("a: .nan\n", "t.yaml:1: .nan is no number that JSON has; put a string in quotes"),
        ("a: 1\nb: \x1b[31m\n", "t.yaml:2: control characters are not allowed (#x001b)"),
        ("a: 1\n...\nb: 2\n", "t.yaml:3: did not find expected <document start>"),
        ("a: {<<: 1}\n", "t.yaml:1: << takes a mapping or a list of mappings, got int"),
    ],
)
def test_a_fault_says_file_line_and_reason(text: str, message: str) -> None:
    assert faults_of(text) == [message]


def test_every_document_s_fault_is_told_at_once() -> None:
    text = "a: [\n---\nok: 1\n---\nb: 1\nb: 2\n---\n: : :\n"
    lines = [fault.partition(": ")[0] for fault in faults_of(text)]
    assert lines[0] in {"t.yaml:1", "t.yaml:2"}
    assert lines[1:] == ["t.yaml:6", "t.yaml:8"]


def test_not_utf8_says_the_line() -> None:
    assert faults_of(b"a: 1\nb: \xff\n") == ["t.yaml:2: not UTF-8: byte 0xff"]


def test_nested_aliases_cannot_make_a_billion_values() -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    (fault,) = faults_of("\n".join(lines))
    assert f"more than {tree.MAX_NODES:,} values" in fault


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, '{"a":' * 100_000])
def test_depth_is_bounded_without_recursion(text: str) -> None:
    assert f"nested more than {tree.MAX_DEPTH} levels deep" in faults_of(text)[0]


def test_aliases_do_not_get_round_the_bound_on_depth() -> None:
    nested = "[" * 120 + "1" + "]" * 120
    twice = "[" * 120 + "*a" + "]" * 120
    assert faults_of(f"a: &a {nested}\nb: {twice}\n") == [f"t.yaml:2: nested more than {tree.MAX_DEPTH} levels deep"]
    assert values(f"a: &a {nested}\nb: [*a]\n")[0]["b"][0] == values(f"a: {nested}\n")[0]["a"]


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_BYTES", 10)
    assert faults_of("a: 1234567890") == ["t.yaml: expected at most 10 bytes, got 13"]


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from([text for text, _ in SCALARS]),
    st.text(alphabet="0123456789_.eE+-:xob", max_size=8),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_what_is_written_is_read_back_the_same_by_us_and_by_pyyaml(value: dict[str, Any]) -> None:
    text = to_yaml(value)
    assert yaml.safe_load(text) == value
    documents, faults = read_documents(text.encode(), "t.yaml")
    assert not faults
    assert documents[0].value == value
