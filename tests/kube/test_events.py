"""Events: said once, at a bounded rate, withdrawn when no longer true."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from injector.kube import events as events_module
from injector.kube.events import EventRecorder, Note, Regarding, event_object
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi


def note(name: str = "web", message: str = "runs without a proxy") -> Note:
    return Note(Regarding("v1", "Pod", "shop", name, f"uid-{name}"), "InjectorNotInjected", message)


def said(api: FakeApi) -> list[str]:
    return [item["involvedObject"]["name"] for path, item in api.objects.items() if "/events/" in path]


@pytest.fixture
async def recorder(kube: KubeClient) -> AsyncIterator[EventRecorder]:
    made = EventRecorder(kube, component="injector-controller", instance="me")
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


async def test_a_note_becomes_one_event_on_its_object(recorder: EventRecorder, api: FakeApi) -> None:
    for _ in range(5):
        recorder.note(note())
    await until(lambda: said(api))
    await asyncio.sleep(0.05)
    (event,) = [item for path, item in api.objects.items() if path.startswith("/api/v1/namespaces/shop/events/")]
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "uid": "uid-web",
    }
    assert (event["reason"], event["type"], event["count"]) == ("InjectorNotInjected", "Warning", 1)


async def test_what_stands_there_from_before_is_counted_once_more(recorder: EventRecorder, api: FakeApi) -> None:
    recorder.note(note())
    await until(lambda: said(api))
    recorder.note(note())
    await until(lambda: any(item.get("count") == 2 for item in api.objects.values()))
    assert len(said(api)) == 1


async def test_events_come_at_a_bounded_rate_and_withdrawn_ones_never(
    kube: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "EVENTS_BURST", 3.0)
    monkeypatch.setattr(events_module, "EVENTS_PER_SECOND", 20.0)
    recorder = EventRecorder(kube, component="c", instance="me")
    for index in range(10):
        recorder.note(note(f"p{index}"))
    task = asyncio.create_task(recorder.run())
    await until(lambda: len(said(api)) == 3)
    recorder.withdraw(note("p9"))
    await asyncio.sleep(0.1)
    assert len(said(api)) <= 6
    await until(lambda: len(said(api)) == 9)
    await asyncio.sleep(0.2)
    assert sorted(said(api)) == [f"p{index}" for index in range(9)]
    task.cancel()


async def test_what_waits_is_bounded(kube: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MOST_WAITING", 5)
    recorder = EventRecorder(kube, component="c", instance="me")
    for index in range(8):
        recorder.note(note(f"p{index}"))
    assert recorder.dropped == 3


async def test_a_refused_event_is_not_the_end(recorder: EventRecorder, api: FakeApi) -> None:
    api.intercept = lambda seen: status(403, "Forbidden") if "p0" in str(seen.body) else None
    recorder.note(note("p0"))
    recorder.note(note("p1"))
    await until(lambda: said(api) == ["p1"])


def test_names_and_messages_fit_what_the_api_takes() -> None:
    event = event_object(note("x" * 253, "é" * 2000), "c", "me", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert len(event["metadata"]["name"]) == 253
    assert len(event["message"].encode()) <= 1024
    assert event["lastTimestamp"] == "2026-01-02T03:04:05Z"


def test_different_words_are_different_events() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    names = {event_object(note(message=text), "c", "me", moment)["metadata"]["name"] for text in ("a", "b")}
    assert len(names) == 2
