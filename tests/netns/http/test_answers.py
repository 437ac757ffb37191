"""What the proxy answers itself, and says why."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.netns.http.apps import Web
from tests.netns.http.conftest import WEB
from tests.netns.http.pair import EMPTY, SERVICE, Pair, cabled, redirect
from tests.netns.http.wire import Message, lines, request, response

pytestmark = pytest.mark.netns

SOON: Final = 1.0
"""Seconds in which a client must be told that nobody is there."""

AMBIGUOUS: Final = {
    "two lengths": ("content-length: 5", "content-length: 6"),
    "a length and chunks": ("content-length: 5", "transfer-encoding: chunked"),
    "a length that is no number": ("content-length: +5",),
    "a coding that nobody knows": ("transfer-encoding: xchunked",),
    "a space before the colon": ("content-length : 5",),
    "a folded line": ("x: 1", " content-length: 5"),
    "two hosts": ("host: bank",),
}


def reason(message: Message) -> tuple[int, str | None]:
    return message.status, message.get("injector-error")


@pytest.mark.parametrize("fields", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_can_be_read_in_two_ways_is_refused(pair: Pair, web: Web, fields: tuple[str, ...]) -> None:
    with pair.stream(WEB) as stream:
        smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        answer = stream.ask(lines("POST /echo HTTP/1.1", "host: web.shop", *fields) + smuggled)
        assert stream.rest() == b"", "nothing more is read from such a client"
    assert reason(answer)[1] == "bad_request"
    assert 400 <= answer.status < 600
    assert web.requests == []


def test_two_lengths_are_a_bad_request(pair: Pair, web: Web) -> None:
    with pair.stream(WEB) as stream:
        answer = stream.ask(request("POST", "/echo", "content-length: 1", body=b"hello"))
        assert stream.rest() == b""
    assert reason(answer) == (400, "bad_request")
    assert answer.get("connection") == "close"


def test_a_good_request_before_a_bad_one_is_answered(pair: Pair, web: Web) -> None:
    with pair.stream(WEB) as stream:
        assert stream.ask(request("GET", "/")).body == b"web"
        assert reason(stream.ask(request("GET", "/", "bad name: 1"))) == (400, "bad_request")
        assert stream.rest() == b""
    assert len(web.requests) == 1


def test_an_answer_that_makes_no_sense_is_not_passed_on(pair: Pair, web: Web) -> None:
    nonsense = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nabc"
    web.routes["/nonsense"] = lambda stream, _: stream.send(nonsense)
    with pair.stream(WEB) as stream:
        assert reason(stream.ask(request("GET", "/nonsense"))) == (502, "bad_response")


def test_a_server_that_hangs_up_is_told_of(pair: Pair, web: Web) -> None:
    """After a POST, which nobody may repeat."""
    web.routes["/gone"] = lambda stream, _: stream.socket.close()
    with pair.stream(WEB) as stream:
        assert reason(stream.ask(request("POST", "/gone", body=b"once"))) == (502, "closed")
    assert len(web.requests) == 1


def test_the_time_in_which_a_client_says_the_rest_of_its_request_is_not_the_answers(pair: Pair, web: Web) -> None:
    def slow() -> int:
        metric = "http_request_duration_seconds"
        return pair.ours.metric(f"{metric}_count") - pair.ours.metric(f"{metric}_bucket", le="1")

    before = slow()
    web.unread["/early"] = lambda stream, _: stream.send(response(200, body=b"early"))
    with pair.stream(WEB) as stream:
        answer = stream.ask(lines("POST /early HTTP/1.1", "host: web.shop", "content-length: 4") + b"so")
        time.sleep(1.1)
        stream.send(b"on")
        assert (answer.body, stream.ask(request("GET", "/")).body) == (b"early", b"web")
    assert slow() == before


def test_a_service_without_endpoints_is_told_of(pair: Pair) -> None:
    begin = time.monotonic()
    with pair.stream(EMPTY) as stream:
        assert reason(stream.ask(request("GET", "/"))) == (503, "no_endpoint")
    assert time.monotonic() - begin < SOON


@pytest.fixture
def others(trio: Pair) -> Iterator[list[Web]]:
    """Applications in all pods but the first."""
    with ExitStack() as stack:
        yield [stack.enter_context(Web(pod.name).serving(pod, WEB)) for pod in trio.servers[1:]]


def test_an_endpoint_that_is_down_is_avoided(trio: Pair, others: list[Web]) -> None:
    """Its proxy is up, and nobody listens behind it. No request fails for it."""
    with trio.stream(WEB) as stream:
        answers = [stream.ask(request("GET", f"/{number}")) for number in range(60)]
    assert [reason(answer) for answer in answers] == [(200, None)] * 60
    assert {answer.body.decode() for answer in answers} == {web.name for web in others}
    assert trio.theirs[0].metric("tcp_connect_failures_total", direction="inbound", reason="refused") > 0


def test_an_endpoint_whose_proxy_is_down_is_avoided(trio: Pair, others: list[Web]) -> None:
    trio.theirs[0].process.terminate()
    trio.theirs[0].process.wait(timeout=10)
    with trio.stream(WEB) as stream:
        answers = [stream.ask(request("GET", f"/{number}")) for number in range(60)]
    assert [reason(answer) for answer in answers] == [(200, None)] * 60
    assert {answer.body.decode() for answer in answers} == {web.name for web in others}


def test_an_endpoint_may_go_between_requests(trio: Pair, others: list[Web]) -> None:
    with trio.stream(WEB) as stream:
        with Web("first").serving(trio.server, WEB) as first:
            before = [stream.ask(request("GET", f"/{number}")) for number in range(60)]
            assert first.requests
        after = [stream.ask(request("GET", f"/{number}")) for number in range(60)]
    assert [reason(answer) for answer in (*before, *after)] == [(200, None)] * 120


def test_a_request_that_meets_the_end_of_an_application_is_made_elsewhere(trio: Pair, others: list[Web]) -> None:
    """It closes the connections that wait, and listens no more: what most do that are asked to end."""
    with ExitStack() as serving, trio.stream(WEB) as stream:
        first = serving.enter_context(Web("first").serving(trio.server, WEB))
        first.routes["/last"] = lambda *_: serving.close()
        before = [stream.ask(request("GET", f"/{number}")) for number in range(60)]
        assert first.requests, "a connection to it waits"
        after = [stream.ask(request("GET", "/last")) for _ in range(60)]
    assert first.requests[-1].path == "/last"
    assert [reason(answer) for answer in (*before, *after)] == [(200, None)] * 120


def test_when_all_are_down_it_is_told_soon(trio: Pair) -> None:
    begin = time.monotonic()
    with trio.stream(WEB) as stream:
        answers = [stream.ask(request("GET", f"/{number}")) for number in range(10)]
    assert [answer.status for answer in answers] == [503] * 10
    assert {answer.get("injector-error") for answer in answers} <= {"unreachable", "ejected"}
    assert time.monotonic() - begin < SOON


def test_they_are_found_again(trio: Pair) -> None:
    """Left alone for a while, and not for ever."""
    with trio.stream(WEB) as stream, ExitStack() as stack:
        assert stream.ask(request("GET", "/")).status == 503
        for pod in trio.servers:
            stack.enter_context(Web().serving(pod, WEB))
        until = time.monotonic() + 15
        while stream.ask(request("GET", "/")).status != 200:
            assert time.monotonic() < until, "they stay ejected"
            time.sleep(0.1)


def test_grpc_is_answered_in_its_own_words(trio: Pair) -> None:
    peer = (sys.executable, "-m", "tests.netns.http.grpc_peer")
    said = trio.client.execute(*peer, "call", f"{SERVICE}:{WEB}", "is_unavailable", check=False)
    assert said.returncode == 0, said.stderr
    assert re.search(r"injector-error: (unreachable|ejected)", said.stdout)
    assert trio.theirs[0].metric("tcp_connect_failures_total", direction="inbound", reason="refused") > 0


def test_who_is_not_let_in_is_told(binary: Path) -> None:
    """By the server's proxy, over the one connection that the proxies share; bytes can only be cut."""
    peer = (sys.executable, "-m", "tests.netns.http.grpc_peer")
    with cabled(binary, "deny") as pair:
        pair.know([WEB])
        redirect([pair.client, pair.server])
        with pair.proxies(INJECTOR_DEFAULT_INBOUND_POLICY="deny"), Web().serving(pair.server, WEB) as web:
            with pair.stream(WEB) as stream:
                assert [reason(stream.ask(request("POST", "/", body=b"hello"))) for _ in range(10)] == [
                    (403, "denied")
                ] * 10
            said = pair.client.execute(*peer, "call", f"{SERVICE}:{WEB}", "is_denied", check=False)
            assert said.returncode == 0, said.stderr
            with pair.stream(WEB) as stream:
                stream.send(b"\0 these are bytes")
                with pytest.raises(ConnectionResetError):
                    stream.take(1)
            assert (web.requests, web.connections) == ([], 0)
            assert pair.theirs[0].metric("tcp_refused_total", direction="inbound", reason="policy_nobody") == 3
            assert pair.theirs[0].metric("http_errors_total", direction="inbound", reason="denied") == 11
