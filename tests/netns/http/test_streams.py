"""What takes its time: WebSockets, events as they happen, and a client that is done speaking."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.netns.http import wire
from tests.netns.http.apps import Web, threaded
from tests.netns.http.conftest import WEB
from tests.netns.http.pair import SERVICE, Pair
from tests.netns.http.wire import Message, Stream
from tests.netns.pods import _listen

pytestmark = pytest.mark.netns

SOCKETS = 8443
EVENT_SECONDS = 3.0
EVENT_GAP = 0.1
LATEST = 0.2
"""The aim: how late an event may be."""


def converse(stream: ServerConnection) -> None:
    """Returns what it gets; `bye` makes it close first."""
    for message in stream:
        if message == "bye":
            stream.close(4001, "as asked")
            return
        stream.send(message)


@pytest.fixture(scope="module")
def sockets(pair: Pair) -> Iterator[Server]:
    listener = pair.server.inside(_listen, pair.server.v4, SOCKETS)
    server = serve(converse, sock=listener, max_size=None)
    with threaded(server.serve_forever, server.shutdown):
        yield server


def opened(pair: Pair) -> "connect":
    return connect(f"ws://{SERVICE}:{SOCKETS}/", proxy=None, max_size=None, open_timeout=5, close_timeout=5)


def test_a_websocket_echoes(pair: Pair, sockets: Server) -> None:
    async def client() -> None:
        async with opened(pair) as stream:
            for message in ("text", b"\0bytes", "ü" * 1000, b"", "x" * 1024 * 1024):
                await stream.send(message)
                assert await stream.recv() == message
            await (await stream.ping())

    pair.client.inside(asyncio.run, client())


def test_what_a_client_says_before_the_server_has_agreed_waits_for_it(pair: Pair, web: Web) -> None:
    def switch(stream: Stream, _: Message) -> None:
        time.sleep(0.1)  # what the client says meanwhile is there
        stream.send(wire.lines("HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: echo"))
        stream.send(stream.take(5))

    web.routes["/switch"] = switch
    with pair.stream(WEB) as stream:
        stream.send(wire.request("GET", "/switch", "connection: Upgrade", "upgrade: echo") + b"eager")
        assert stream.answer().status == 101
        assert stream.take(5) == b"eager"


def test_a_websocket_is_closed_by_either_end(pair: Pair, sockets: Server) -> None:
    async def closing(stream: ClientConnection) -> None:
        await stream.close(4000, "enough")
        assert (stream.close_code, stream.close_reason) == (4000, "enough")

    async def closed(stream: ClientConnection) -> None:
        await stream.send("bye")
        with pytest.raises(ConnectionClosed):
            await stream.recv()
        assert (stream.close_code, stream.close_reason) == (4001, "as asked")

    async def client() -> None:
        for how in (closing, closed):
            async with opened(pair) as stream:
                await how(stream)

    pair.client.inside(asyncio.run, client())


def test_an_idle_websocket_stays(pair: Pair, sockets: Server) -> None:
    async def client() -> None:
        async with opened(pair) as stream:
            await asyncio.sleep(2)
            await stream.send("still here")
            assert await stream.recv() == "still here"

    pair.client.inside(asyncio.run, client())


def test_an_upgrade_may_be_refused(pair: Pair, web: Web) -> None:
    """By an application that knows none: it answers as ever, and the connection goes on."""
    ask = wire.request("GET", "/", "connection: upgrade", "upgrade: websocket")
    with pair.stream(WEB) as stream:
        assert [stream.ask(ask).body, stream.ask(wire.request("GET", "/")).body] == [b"web", b"web"]


def events(stream: Stream, _: Message) -> None:
    """Each tells when it was sent."""
    stream.send(wire.lines("HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked"))
    until = time.monotonic() + EVENT_SECONDS
    while time.monotonic() < until:
        event = f"data: {time.monotonic()}\n\n".encode()
        stream.send(b"%x\r\n%s\r\n" % (len(event), event))
        time.sleep(EVENT_GAP)
    stream.send(b"0\r\n\r\n")


def test_events_arrive_as_they_happen(pair: Pair, web: Web) -> None:
    web.routes["/events"] = events
    late = []
    with pair.stream(WEB) as stream:
        stream.send(wire.request("GET", "/events", "accept: text/event-stream"))
        assert stream.head() is not None
        while size := int(stream.line(), 16):
            event = stream.take(size + 2)
            sent = re.search(rb"data: ([\d.]+)", event)
            assert sent, event
            late.append(time.monotonic() - float(sent[1]))
    assert len(late) >= EVENT_SECONDS / EVENT_GAP / 2
    assert max(late) < LATEST, late


def test_an_upload_arrives_as_it_is_sent(pair: Pair, web: Web) -> None:
    """Chunk by chunk: each is answered before the next is sent."""

    def by_chunks(stream: Stream, _: Message) -> None:
        stream.send(wire.lines("HTTP/1.1 200 OK", "transfer-encoding: chunked"))
        while size := int(stream.line(), 16):
            chunk = stream.take(size + 2)
            stream.send(b"%x\r\n%s" % (size, chunk))
        stream.line()
        stream.send(b"0\r\n\r\n")

    web.unread["/duplex"] = by_chunks
    with pair.stream(WEB) as stream:
        stream.send(wire.lines("POST /duplex HTTP/1.1", "host: web.shop", "transfer-encoding: chunked"))
        assert stream.head() is not None
        for _ in range(10):
            stream.send(b"5\r\nhello\r\n")
            assert (stream.line(), stream.take(7)) == (b"5", b"hello\r\n")
        stream.send(b"0\r\n\r\n")
        assert (stream.line(), stream.line()) == (b"0", b"")


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_client_that_is_done_speaking_is_answered(pair: Pair, web: Web, seconds: float) -> None:
    """It shuts its side when the request is said, as `nc -N` does; the answer may take a while."""

    def thoughtful(stream: Stream, _: Message) -> None:
        time.sleep(seconds)
        stream.send(wire.response(200, body=b"thought"))

    web.routes["/thoughtful"] = thoughtful
    with pair.stream(WEB) as stream:
        stream.send(wire.request("GET", "/thoughtful"))
        stream.socket.shutdown(socket.SHUT_WR)
        assert stream.answer().body == b"thought"
        assert stream.rest() == b"", "and then it ends"
