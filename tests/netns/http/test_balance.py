"""Requests, and not connections, are spread over endpoints; and many of them share few connections between proxies."""

import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

import pytest

from tests.netns.http import apps
from tests.netns.http.apps import Web
from tests.netns.http.conftest import WEB
from tests.netns.http.pair import SERVICE, Pair
from tests.netns.http.wire import Message, Stream, request

pytestmark = pytest.mark.netns

GRPC: Final = 50051
PEER: Final = (sys.executable, "-m", "tests.netns.http.grpc_peer")


def test_requests_of_one_connection_are_spread(trio: Pair) -> None:
    with ExitStack() as stack:
        for pod in trio.servers:
            stack.enter_context(Web(pod.name).serving(pod, WEB))
        with trio.stream(WEB) as stream:
            answered = Counter(stream.ask(request("GET", "/")).body.decode() for _ in range(100))
    # A slow first answer is held against a server for some seconds: how many it gets within one is not fixed.
    assert set(answered) == {pod.name for pod in trio.servers}, answered
    trio.assert_encrypted()


def test_a_pod_that_is_asked_for_by_its_address_is_the_one_that_answers(trio: Pair) -> None:
    with ExitStack() as stack:
        for pod in trio.servers:
            stack.enter_context(Web(pod.name).serving(pod, WEB))
        for pod in trio.servers:
            with trio.stream(WEB, pod.v4) as stream:
                assert {stream.ask(request("GET", "/")).body.decode() for _ in range(10)} == {pod.name}


def test_calls_of_one_grpc_channel_are_spread(trio: Pair) -> None:
    with ExitStack() as stack:
        for pod in trio.servers:
            stack.enter_context(apps.running(pod, *PEER, "serve", f"0.0.0.0:{GRPC}", pod.name, port=GRPC))
        said = trio.client.execute(*PEER, "call", f"{SERVICE}:{GRPC}", "names")
    answered = Counter(said.stdout.split())
    # A server's first call costs it its start, and a slow answer is held against it for some seconds: how many it gets
    # within one is not fixed.
    assert set(answered) == {pod.name for pod in trio.servers}, said.stdout
    trio.assert_encrypted()


def test_a_slow_endpoint_gets_fewer(trio: Pair) -> None:
    """Who has much to do already is asked less."""

    def slow(stream: Stream, _: Message) -> None:
        time.sleep(0.2)
        stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")

    def ask(_: int) -> list[str]:
        with trio.stream(WEB) as stream:
            return [stream.ask(request("GET", "/work")).body.decode() for _ in range(10)]

    with ExitStack() as stack:
        webs = [stack.enter_context(Web(pod.name).serving(pod, WEB)) for pod in trio.servers]
        webs[0].routes["/work"] = slow
        with ThreadPoolExecutor(max_workers=8) as threads:
            answered = Counter(name for names in threads.map(ask, range(8)) for name in names)
    assert sum(answered.values()) == 80
    assert answered["slow"] < 80 / 6, "less than half of its share"


def test_many_clients_share_one_connection_between_the_proxies(pair: Pair, web: Web) -> None:
    before = pair.ours.metric("tls_handshakes_total", direction="outbound")
    with ExitStack() as stack:
        streams = [stack.enter_context(pair.stream(WEB)) for _ in range(50)]
        for stream in streams:
            stream.send(request("GET", "/"))
        assert [stream.answer().body for stream in streams] == [b"web"] * 50
    assert pair.ours.metric("tls_handshakes_total", direction="outbound") - before <= 1
