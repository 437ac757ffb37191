"""The record: what a rotation leaves behind in state.json, and what a person may ask for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.controller.roots.acknowledgements import Heard, Trusts, without_certificate, without_root
from injector.controller.roots.objects import Publication, published_config_map, read_published
from injector.controller.roots.plan import Asked, Phase, State
from injector.controller.roots.record import (
    MOST_LAGGARDS,
    By,
    Command,
    Kind,
    Laggard,
    Record,
    Rotation,
    asked,
    counted,
    follow,
    forced,
    read_command,
    read_record,
    want_issuer,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING = Rotation("one", Kind.ROOT, By.COMMAND, Phase.ROOTS, started=NOW, since=NOW)
DONE = Rotation("one", Kind.ROOT, By.COMMAND, Phase.DONE, started=NOW, since=NOW, finished=NOW)
ISSUER = Rotation("one", Kind.ISSUER, By.COMMAND, Phase.ISSUER, started=NOW, since=NOW)


def command(name: str, kind: Kind = Kind.ROOT, *, force: bool = False) -> Command:
    return Command(name, kind, force)


@pytest.mark.parametrize(
    ("record", "said", "wish", "force"),
    [
        (Record(), None, Asked.NOTHING, False),
        (Record(), command("one"), Asked.ROOT, False),
        (Record(), command("one", Kind.ISSUER, force=True), Asked.ISSUER, True),
        (Record(0, DONE, "one"), command("one", force=True), Asked.NOTHING, False),
        (Record(0, DONE, "one"), command("two"), Asked.ROOT, False),
        (Record(0, RUNNING, "one"), command("one", force=True), Asked.NOTHING, False),
        (Record(0, RUNNING, "one"), command("two", force=True), Asked.ROOT, True),
        (Record(0, RUNNING, "one"), command("two", Kind.ISSUER, force=True), Asked.ISSUER, False),
        (Record(0, ISSUER, "one"), command("two", Kind.ISSUER), Asked.NOTHING, False),
        (Record(0, ISSUER, "one"), command("two", Kind.ROOT), Asked.ROOT, False),
    ],
)
def test_a_command_is_taken_up_once(record: Record, said: Command | None, wish: Asked, force: bool) -> None:
    assert asked(record, said) is wish
    assert forced(record, said) is force


def test_a_record_survives_being_written_down() -> None:
    late = [Laggard(f"shop/p{number}", "why") for number in range(MOST_LAGGARDS + 5)]
    record = counted(Record(7, RUNNING, "one"), 99, late)
    assert record.rotation is not None
    assert (record.rotation.behind, len(record.rotation.laggards)) == (MOST_LAGGARDS + 5, MOST_LAGGARDS)
    data = Publication(given=False, roles=(), chain=(), record=record).data()
    stored = published_config_map(data, "3")
    assert stored["metadata"]["resourceVersion"] == "3"
    assert read_published(stored).record == record
    assert read_record(orjson.dumps({"rotation": None}).decode()) == Record()


KEYS = ["rotation", "issuerWanted", "id", "kind", "by", "phase", "startedAt", "phaseSince", "laggards", "force"]
WORDS = st.sampled_from(["root", "command", "roots", "2026-01-01", "2026-01-01T00:00:00+00:00"])
LEAVES = st.none() | st.integers() | st.floats(allow_nan=False) | WORDS
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner))


@given(st.text() | JSON.map(json.dumps))
def test_what_anybody_writes_there_is_read_without_harm(text: str) -> None:
    record = read_record(text)
    assert read_published(published_config_map(Publication(False, (), (), record).data(), "1")).record == record
    assert read_command(text) is None or isinstance(read_command(text), Command)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"id":"x","kind":"leaf"}', '{"kind":"root"}', "7"])
def test_a_command_that_makes_no_sense_is_none(text: str) -> None:
    assert read_command(text) is None


def test_force_must_be_true_and_nothing_like_it() -> None:
    said: dict[str, Any] = {"id": "x" * 99, "kind": "root", "force": "yes"}
    assert read_command(orjson.dumps(said).decode()) == Command("x" * 64, Kind.ROOT, force=False)


def test_the_wish_for_an_issuer_grows_even_where_the_record_was_lost() -> None:
    wanted = want_issuer(Record(), State(), command("one", Kind.ISSUER), NOW).issuer_wanted
    assert wanted == int(NOW.timestamp())
    assert want_issuer(Record(wanted), State(), command("two", Kind.ISSUER), NOW).issuer_wanted == wanted + 1


def test_a_rotation_by_age_does_not_take_up_an_old_command() -> None:
    from injector.pki import make_root

    root = make_root(NOW, NOW - datetime(2025, 1, 1, tzinfo=UTC)).certificate
    old = command("one", force=True)
    record = Record(0, DONE, "one")
    for _ in range(3):
        record = follow(record, State(current=root, next=root), old, NOW)
        assert record.rotation is not None
        assert (record.rotation.by, record.rotation.forced) == (By.AGE, False)
    record = follow(record, State(current=root), old, NOW)
    assert record.running is None
    assert asked(record, old) is Asked.NOTHING


def test_who_is_behind_and_why() -> None:
    running = {"u1": "shop/a", "u2": "shop/b", "u3": "shop/c"}
    heard = Heard(
        {
            ("shop", "u1"): Trusts(frozenset({"new"}), "i"),
            ("shop", "u2"): Trusts(frozenset({"old"}), "i"),
            ("shop", "gone"): Trusts(frozenset(), ""),
            ("bank", "u3"): Trusts(frozenset({"new"}), "i"),  # somebody who speaks for another namespace's pod
        },
        {"injector-system/d": Trusts(frozenset({"new"}), "j"), "injector-system/e": "cannot be asked: UNAVAILABLE"},
    )
    assert [(late.pod, late.why) for late in without_root(running, heard, "new")] == [
        ("shop/b", "does not accept the new root yet"),
        ("injector-system/e", "cannot be asked: UNAVAILABLE"),
        ("shop/c", "has no stream to any discovery replica"),
    ]
    assert [late.pod for late in without_certificate(running, heard, "i")] == [
        "injector-system/d",
        "injector-system/e",
        "shop/c",
    ]
