"""The webhook over real TLS: honest clients, broken ones, hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from injector.inject.model import Namespace, Workload
from injector.runtime.gate import Reason
from injector.webhook.handler import NamespaceKey, OwnerKey
from tests.webhook.pods import POD_UID, pod, review

if TYPE_CHECKING:
    from tests.webhook.conftest import Serve, Webhook

PODS = "/mutate/pods"
# What API servers grant a review (timeoutSeconds of the manifests).
TIMEOUT_SECONDS = 5.0
OWNER = OwnerKey("ReplicaSet", "shop", "web-6f7d9c5b8d", POD_UID)


@pytest.fixture(autouse=True)
def _owner_is_known(request: pytest.FixtureRequest) -> None:
    if "webhook" in request.fixturenames:
        known(request.getfixturevalue("webhook"))


def known(webhook: Webhook) -> Webhook:
    webhook.directory.known[OWNER] = Workload("Deployment", "web")
    return webhook


async def test_a_pod_is_injected_and_the_uid_echoed(webhook: Webhook) -> None:
    async with webhook.client() as client:
        answer = await client.post(PODS, review(pod(), uid="one"))
        response = orjson.loads(answer.body)["response"]
        assert (answer.status, response["uid"], response["allowed"]) == (200, "one", True)
        assert response["patchType"] == "JSONPatch"
        again = await client.post(PODS, review(pod(), uid="two"))
        assert orjson.loads(again.body)["response"]["uid"] == "two", "on the same connection"
    labels = {"entry": "pods", "result": "injected", "reason": ""}
    assert webhook.metric("injector_webhook_reviews_total", **labels) == 2
    assert webhook.metric("injector_webhook_review_seconds_count", entry="pods") == 2


async def test_a_body_in_many_small_pieces_is_one_body(webhook: Webhook) -> None:
    body = review(pod(200_000), uid="pieces")
    async with webhook.client() as client:
        await client.send_head(PODS, len(body))
        for start in range(0, len(body), 10_000):
            client.writer.write(body[start : start + 10_000])
            await client.writer.drain()
        answer = await client.answer()
    assert orjson.loads(answer.body)["response"]["uid"] == "pieces"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"hello", "as JSON"),
        (b"", "as JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "as JSON"),
        (b"[" * 10_000 + b"]" * 10_000, "as JSON"),
        (b"[]", "got a list"),
        (b'{"apiVersion":"v1","kind":"Pod"}', "got apiVersion 'v1', kind 'Pod'"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "request, got nothing"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}', "request.uid, got nothing"),
        (review(pod(), uid="x").replace(b'"uid":"x"', b'"uid":""'), "an empty text"),
        (review(pod(), kind="Node"), "expected a review of v1 Pod at /mutate/pods, got 'v1 Node'"),
        (review(pod(), namespace=""), "request.namespace"),
    ],
)
async def test_a_wrong_body_is_a_clear_400_and_the_connection_goes_on(webhook: Webhook, body: bytes, says: str) -> None:
    async with webhook.client() as client:
        answer = await client.post(PODS, body)
        assert (answer.status, says in answer.body.decode()) == (400, True), answer.body
        assert (await client.post(PODS, review(pod()))).status == 200
    assert webhook.metric("injector_webhook_reviews_total", entry="pods", result="bad-request", reason="") == 1


async def test_other_paths_and_methods_are_refused_and_the_connection_goes_on(webhook: Webhook) -> None:
    async with webhook.client() as client:
        assert (await client.post("/mutate/everything", b"{}")).status == 404
        await client.send_head(PODS, 0, method="GET")
        assert (await client.answer()).status == 405
        assert (await client.post(PODS, review(pod()))).status == 200


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(webhook.handler, "answer", broken)
    async with webhook.client() as client:
        answer = await client.post(PODS, review(pod()))
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert webhook.metric("injector_webhook_reviews_total", entry="pods", result="error", reason="internal") == 1


async def test_what_is_missing_is_fetched_once_and_what_cannot_be_is_a_500(serve: Serve) -> None:
    webhook = await serve()
    webhook.directory.fetchable = {
        NamespaceKey("new"): Namespace("new"),
        OwnerKey("ReplicaSet", "new", OWNER.name, POD_UID): None,
    }
    async with webhook.client() as client:
        assert (await client.post(PODS, review(pod(), namespace="new"))).status == 200
        assert len(webhook.directory.fetched) == 2
        assert (await client.post(PODS, review(pod(), namespace="gone"))).status == 500
    assert webhook.metric("injector_webhook_reviews_total", entry="pods", result="error", reason="unavailable") == 1


async def test_an_announced_100_mb_body_is_refused_before_it_is_sent(webhook: Webhook) -> None:
    async with webhook.client() as client:
        await client.send_head(PODS, 100_000_000)
        assert (await client.answer()).status == 413
        assert await client.closed()
    assert webhook.refused[Reason.BODY_TOO_LARGE] == 1


async def test_an_unannounced_100_mb_body_is_refused_where_it_gets_too_large(webhook: Webhook) -> None:
    sent = 0
    async with webhook.client() as client:
        client.writer.write(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
        with contextlib.suppress(OSError, TimeoutError):
            while sent < 100_000_000:
                client.writer.write(chunk)
                await asyncio.wait_for(client.writer.drain(), 2)
                sent += 65536
        assert await client.closed()
    assert sent < 30_000_000, "the sender was stopped"
    assert webhook.refused[Reason.BODY_TOO_LARGE] == 1
    assert webhook.listener.gate.held == 0


async def test_slow_headers_and_slow_bodies_run_out_of_time(serve: Serve) -> None:
    webhook = known(await serve(header_seconds=0.3, body_seconds=0.3))
    async with webhook.client() as headers, webhook.client() as body:
        headers.writer.write(b"POST /mutate/pods HTTP/1.1\r\nHost: ")
        await body.send_head(PODS, 5000)
        for _ in range(10):
            with contextlib.suppress(OSError):
                headers.writer.write(b"x")
                body.writer.write(b"x")
            await asyncio.sleep(0.1)
        assert (await headers.answer()).status == 408
        assert (await body.answer()).status == 408
        assert await headers.closed()
        assert await body.closed()
    assert webhook.refused == {Reason.HEADERS_TOO_SLOW: 1, Reason.BODY_TOO_SLOW: 1}
    assert webhook.listener.gate.held == 0


async def test_a_review_that_takes_too_long_is_given_up(serve: Serve) -> None:
    webhook = await serve(answer_seconds=0.3)
    webhook.directory.delay = 5.0
    async with webhook.client() as client:
        answer = await client.post(PODS, review(pod(), namespace="new"))
    assert answer.status == 504


async def test_endless_headers_are_cut_off(webhook: Webhook) -> None:
    async with webhook.client() as client:
        client.writer.write(b"POST /mutate/pods HTTP/1.1\r\nX-Long: ")
        with contextlib.suppress(OSError):
            for _ in range(100):
                client.writer.write(b"x" * 1000)
                await client.writer.drain()
        assert (await client.answer()).status == 431
    assert webhook.refused[Reason.HEADERS_TOO_LARGE] == 1


@pytest.mark.parametrize("nonsense", [b"\x00\x01\x02", b"GET / HTTP/9.9\r\n\r\n", b"POST\r\n\r\n", b"\x16\x03\x01" * 9])
async def test_what_is_not_http_is_a_400(webhook: Webhook, nonsense: bytes) -> None:
    async with webhook.client() as client:
        client.writer.write(nonsense)
        assert (await client.answer()).status == 400
        assert await client.closed()
    assert webhook.refused[Reason.MALFORMED] == 1


async def test_pipelined_requests_are_not_queued(webhook: Webhook) -> None:
    body = review(pod())
    head = f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with webhook.client() as client:
        client.writer.write((head + body) * 50)
        assert await client.closed()
    assert webhook.refused[Reason.MALFORMED] == 1


async def test_plain_http_and_silence_on_the_tls_port_are_closed(serve: Serve) -> None:
    webhook = known(await serve(handshake_seconds=0.3))
    for first in (b"GET / HTTP/1.1\r\n\r\n", b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", webhook.listener.port)
        writer.write(first)
        with contextlib.suppress(OSError):
            assert b"HTTP" not in await asyncio.wait_for(reader.read(), 3)
        writer.close()
    await asyncio.sleep(0.1)
    assert webhook.refused[Reason.HANDSHAKE] == 2
    assert webhook.listener.gate.total == 0


async def test_a_source_with_too_many_connections_is_turned_away_and_others_are_not(serve: Serve) -> None:
    webhook = known(await serve(connections_per_source=3))
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(webhook.client("127.0.0.2"))
        with pytest.raises((OSError, ssl.SSLError)):
            await stack.enter_async_context(webhook.client("127.0.0.2"))
        other = await stack.enter_async_context(webhook.client("127.0.0.1"))
        assert (await other.post(PODS, review(pod()))).status == 200
    assert webhook.refused[Reason.TOO_MANY_OF_SOURCE] == 1


async def test_a_flood_of_handshakes_does_not_keep_reviews_from_being_answered(serve: Serve) -> None:
    webhook = known(await serve(opening_rate=20, opening_burst=20))
    stop = asyncio.Event()
    opened = 0

    async def flood() -> None:
        nonlocal opened
        while not stop.is_set():
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1), webhook.client("127.0.0.9"):
                    opened += 1

    async with webhook.client() as honest, asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(flood())
        latencies = await reviewed_for(honest, seconds=3.0)
        stop.set()
    assert webhook.refused[Reason.TOO_FAST] > 0, "the flood met its limit"
    assert opened <= 20 + 20 * 5, "the burst, and the rate for as long as it went on"
    assert latencies[-1] < TIMEOUT_SECONDS, "though the flood's clients share its event loop"


async def reviewed_for(client: Any, seconds: float) -> list[float]:
    body = review(pod())
    latencies = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        assert (await client.post(PODS, body)).status == 200
        latencies.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return sorted(latencies)


async def test_held_bytes_are_bounded_for_each_source(serve: Serve) -> None:
    webhook = known(await serve(held_bytes_per_source=100_000))
    async with webhook.client() as first, webhook.client() as second, webhook.client("127.0.0.2") as other:
        await first.send_head(PODS, 1_000_000)
        first.writer.write(b"x" * 60_000)
        await asyncio.sleep(0.1)
        await second.send_head(PODS, 1_000_000)
        second.writer.write(b"x" * 60_000)
        assert (await second.answer()).status == 429
        assert (await other.post(PODS, review(pod()))).status == 200
    assert webhook.refused == {Reason.TOO_MUCH_HELD: 1}


async def test_draining_finishes_what_is_in_flight_and_closes_the_rest(serve: Serve) -> None:
    webhook = known(await serve())
    body = review(pod())
    async with webhook.client() as idle, webhook.client() as busy:
        assert (await idle.post(PODS, body)).status == 200
        await busy.send_head(PODS, len(body))
        await asyncio.sleep(0.05)
        webhook.listener.ask_to_leave()
        async with webhook.client() as late:
            answer = await late.post(PODS, body)
            assert (answer.status, answer.headers["connection"]) == (200, "close"), "still accepting, asking to leave"
        closing = asyncio.create_task(webhook.listener.close(3.0))
        assert await idle.closed(within=2.0)
        busy.writer.write(body)
        assert (await busy.answer()).status == 200
        await closing
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", webhook.listener.port), timeout=1)
