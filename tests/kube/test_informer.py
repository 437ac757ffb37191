"""The informer: the copy follows the collection through everything an API server does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from injector.kube import client as client_module
from injector.kube import informer as informer_module
from injector.kube.informer import Informer, Key, Selection
from injector.kube.lines import LineSplitter, LineTooLong
from injector.kube.resources import NAMESPACES, PODS, SECRETS
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi, Seen

PODS_PATH = "/api/v1/pods"


def pod(name: str) -> str:
    return f"/api/v1/namespaces/shop/pods/{name}"


def image(item: dict[str, Any]) -> str | None:
    value = item.get("image")
    return value if isinstance(value, str) else None


class Followed:
    """An informer of pods' images, running, and what it told."""

    def __init__(self, kube: KubeClient, selection: Selection) -> None:
        self.told: list[tuple[Key, str | None, str | None]] = []
        self.informer = Informer(kube, selection, image, lambda *change: self.told.append(change))

    @property
    def items(self) -> dict[Key, str]:
        return self.informer.items

    def images(self) -> dict[str, str]:
        return {name: value for (_, name), value in self.items.items()}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer_module, "RETRY_BASE_SECONDS", 0.01)
    monkeypatch.setattr(informer_module, "RETRY_CAP_SECONDS", 0.05)


@pytest.fixture
async def followed(kube: KubeClient, api: FakeApi) -> AsyncIterator[Followed]:
    api.put(pod("a"), {"image": "one"})
    made = Followed(kube, Selection(PODS))
    task = asyncio.create_task(made.informer.run())
    await made.informer.wait_synced()
    await until(lambda: api.watches)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_lists_then_follows(followed: Followed, api: FakeApi) -> None:
    assert followed.images() == {"a": "one"}
    api.put(pod("b"), {"image": "two"})
    api.put(pod("a"), {"image": "three"})
    api.put(pod("c"), {})
    api.remove(pod("b"))
    await until(lambda: followed.images() == {"a": "three"} and len(followed.told) == 4)
    a, b = ("shop", "a"), ("shop", "b")
    assert followed.told == [(a, None, "one"), (b, None, "two"), (a, "one", "three"), (b, "two", None)]


async def test_what_does_not_change_the_projection_is_not_told(followed: Followed, api: FakeApi) -> None:
    api.put(pod("a"), {"image": "one", "status": "new"})
    api.put(pod("b"), {"image": "two"})
    await until(lambda: "b" in followed.images())
    assert len(followed.told) == 2


async def test_a_dropped_watch_goes_on_where_it_was_without_a_list(followed: Followed, api: FakeApi) -> None:
    api.bookmark()
    await asyncio.sleep(0.05)
    version = str(api.version)
    await api.cut_watches()
    api.put(pod("b"), {"image": "two"})
    await until(lambda: "b" in followed.images())
    assert len([seen for seen in api.requests("GET", PODS_PATH) if "watch" not in seen.query]) == 1
    assert api.requests("GET", PODS_PATH, watch="true", resourceVersion=version), "the bookmark's version"


async def test_a_version_that_is_gone_means_a_new_list_and_the_differences(followed: Followed, api: FakeApi) -> None:
    api.put(pod("b"), {"image": "two"})
    await until(lambda: "b" in followed.images())
    api.intercept = lambda seen: status(503, "ServiceUnavailable") if seen.query.get("watch") else None
    await api.cut_watches()
    api.remove(pod("a"))
    api.put(pod("b"), {"image": "three"})
    api.forget_history()
    followed.told.clear()
    api.intercept = lambda _: None
    await until(lambda: followed.images() == {"b": "three"})
    assert sorted(followed.told, key=str) == [(("shop", "a"), "one", None), (("shop", "b"), "two", "three")]


async def test_gone_in_the_middle_of_a_stream(followed: Followed, api: FakeApi) -> None:
    error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    api.watches[0].queue.put_nowait({"type": "ERROR", "object": error})
    api.put(pod("b"), {"image": "two"})
    await until(lambda: "b" in followed.images())
    assert len([seen for seen in api.requests("GET", PODS_PATH) if "watch" not in seen.query]) == 2


async def test_it_survives_every_kind_of_failure(followed: Followed, api: FakeApi) -> None:
    answers: list[Any] = [
        lambda: status(500, "InternalError"),
        lambda: status(429, "TooManyRequests"),
        lambda: status(403, "Forbidden"),
        lambda: status(400, "BadRequest"),
        lambda: web.Response(text="not json\n"),
        lambda: web.Response(text='{"type":"MODIFIED","obj'),
    ]

    def fail(_: Seen) -> web.StreamResponse | None:
        answer: web.StreamResponse | None = answers.pop(0)() if answers else None
        return answer

    api.intercept = fail
    await api.cut_watches()
    api.put(pod("b"), {"image": "two"})
    await until(lambda: not answers and "b" in followed.images())
    assert followed.informer.synced


async def test_a_stream_that_ends_at_once_is_not_asked_for_in_a_busy_loop(followed: Followed, api: FakeApi) -> None:
    api.intercept = lambda seen: web.Response() if seen.query.get("watch") else None
    await api.cut_watches()
    await asyncio.sleep(0.5)
    assert len(api.requests("GET", PODS_PATH, watch="true")) < 60


async def test_half_a_list_is_no_list(kube: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 1)
    api.put(pod("a"), {"image": "one"})
    api.put(pod("b"), {"image": "two"})
    failing = True
    api.intercept = lambda seen: status(410, "Expired") if seen.query.get("continue") and failing else None
    followed = Followed(kube, Selection(PODS))
    task = asyncio.create_task(followed.informer.run())
    await until(lambda: len(api.seen) > 6)
    assert not followed.informer.synced
    assert not followed.items
    assert not api.requests("GET", PODS_PATH, watch="true")
    failing = False
    await followed.informer.wait_synced()
    assert followed.images() == {"a": "one", "b": "two"}
    task.cancel()


async def test_what_a_watch_never_tells_is_found_by_listing_again(kube: KubeClient, api: FakeApi) -> None:
    api.put(pod("a"), {"image": "one"})
    informer = Informer(kube, Selection(PODS), image, relist_seconds=0.1)
    task = asyncio.create_task(informer.run())
    await until(lambda: api.watches)
    api.objects[pod("a")]["image"] = "two"
    await until(lambda: informer.items == {("shop", "a"): "two"}, seconds=2)
    assert len(api.watches) <= 2, "the stream before is closed"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_single_object_is_selected_by_name(kube: KubeClient, api: FakeApi) -> None:
    for name in ("mine", "other"):
        api.put(f"/api/v1/namespaces/system/secrets/{name}", {"image": name})
    followed = Followed(kube, Selection.one(SECRETS, namespace="system", name="mine"))
    task = asyncio.create_task(followed.informer.run())
    await followed.informer.wait_synced()
    await until(lambda: api.watches)
    assert followed.images() == {"mine": "mine"}
    assert all(seen.query["fieldSelector"] == "metadata.name=mine" for seen in api.seen)
    task.cancel()


async def test_metadata_only_asks_for_metadata_only(kube: KubeClient, api: FakeApi) -> None:
    followed = Followed(kube, Selection(NAMESPACES, metadata_only=True))
    task = asyncio.create_task(followed.informer.run())
    await until(lambda: api.watches)
    accepts = [seen.headers["accept"] for seen in api.seen]
    assert accepts[0].startswith("application/json;as=PartialObjectMetadataList;")
    assert accepts[1].startswith("application/json;as=PartialObjectMetadata;")
    task.cancel()


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_come_out_whole_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    got = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += list(splitter.feed(stream[:size]))
        stream = stream[size:]
    assert got == [line for line in lines if line]


def test_a_line_without_end_is_not_kept() -> None:
    splitter = LineSplitter(limit=1000)
    for _ in range(10):
        assert not list(splitter.feed(b"x" * 100))
    with pytest.raises(LineTooLong):
        list(splitter.feed(b"x"))


async def test_an_event_larger_than_any_object_ends_the_stream(
    followed: Followed, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("injector.kube.client.LineSplitter", lambda: LineSplitter(limit=10_000))
    await api.cut_watches()
    await until(lambda: len(api.requests("GET", PODS_PATH, watch="true")) >= 2)
    api.put(pod("big"), {"image": "x" * 20_000})
    await until(lambda: len(api.requests("GET", PODS_PATH, watch="true")) >= 4)
    assert orjson.dumps(followed.images()) == b'{"a":"one"}'
