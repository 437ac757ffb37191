"""Whom the application is told that it speaks with, and that nobody else can say it; what else of a head must stay."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from injector.pki import SpiffeId
from tests.netns.http import apps, wire
from tests.netns.http.apps import Web
from tests.netns.http.conftest import PORTS, WEB
from tests.netns.http.pair import SERVICE, Pair, meshed
from tests.netns.http.servers import accepting
from tests.netns.http.wire import Message, lines, request
from tests.netns.volumes import NAMESPACE, TRUST_DOMAIN

pytestmark = pytest.mark.netns

GO, NODE, BYTES = 8083, 8084, 8085
PEERS: Final = Path(__file__).parent / "peers"
CLIENT: Final = str(SpiffeId(TRUST_DOMAIN, NAMESPACE, "default"))
FORGED: Final = "spiffe://cluster.local/ns/bank/sa/admin"
NAMES: Final = (
    "injector-client-id",
    "Injector-Client-Id",
    "INJECTOR-CLIENT-ID",
    "injector_client_id",
    "Injector_Client-Id",
    "injector.client.id",
    "injector~client~id",
    "injector!client#id",
    "injector-error",
    "injector-whatever",
)
"""CGI and its like map every sign of a name to the same one: what an application may read as ours is ours."""

READ_BY_SOME: Final = (
    b"GET /admin",
    b"POST /admin",
    b"GET admin",
    b"GET /admin RTSP/1.0",
    b"POST /admin RTSP/1.1",
    b"SOURCE /admin ICE/1.1",
    b"GET" + b" " * 16_400 + b"/admin HTTP/1.1",
    b"GET admin?" + b"a" * 16_400 + b" HTTP/1.1",
)

HARMLESS: Final = ("injectorx: 1", "x-injector-client-id: 1", "inject: 1", "inject-or: 1")
TRACES: Final = (
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate: a=1,b=2",
    "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
    "X-B3-TraceId: 80f198ee56343ba864fe8b2a57d3eff7",
)


@pytest.fixture(scope="module")
def stranger(binary: Path) -> Iterator[Pair]:
    """Here the client's user is the proxy's, whose connections are not redirected: it comes without an identity."""
    with meshed(binary, "plain", PORTS) as pair:
        yield pair


def ours(fields: wire.Fields) -> list[tuple[str, str]]:
    """The fields that an application might take for the mesh's."""
    named = [(re.sub(r"[^a-z0-9]", "-", name.decode().lower()), value.decode()) for name, value in fields]
    return [(name, value) for name, value in named if name.startswith("injector-")]


def test_the_application_is_told_its_client(pair: Pair, web: Web) -> None:
    with pair.stream(WEB) as stream:
        assert [stream.ask(request("GET", "/")).status for _ in range(3)] == [200] * 3
    assert [ours(each.fields) for each in web.requests] == [[("injector-client-id", CLIENT)]] * 3


@pytest.mark.parametrize("name", NAMES)
def test_nobody_forges_it(pair: Pair, web: Web, name: str) -> None:
    fields = (f"{name}: {FORGED}", "x: 1", f"{name}:{FORGED}", f"{name}: {CLIENT}")
    with pair.stream(WEB) as stream:
        assert stream.ask(request("GET", "/", *fields, *HARMLESS)).status == 200
    assert ours(web.requests[0].fields) == [("injector-client-id", CLIENT)]
    left = [f"{name.decode()}: {value.decode()}" for name, value in web.requests[0].fields]
    assert [each for each in left if each in HARMLESS] == [*HARMLESS]


@pytest.mark.parametrize("name", NAMES)
def test_nobody_forges_it_by_http2(pair: Pair, go_peer: Path, name: str) -> None:
    with apps.running(pair.server, go_peer, "serve", str(GO), port=GO):
        at = f"http://{SERVICE}:{GO}/fields"
        said = pair.curl("--http2-prior-knowledge", "-H", f"{name}: {FORGED}", "-H", "kept: 1", at).encode()
    fields = [(each.partition(b": ")[0], each.partition(b": ")[2]) for each in said.splitlines()]
    assert ours(fields) == [("injector-client-id", CLIENT)]
    assert (b"Kept", b"1") in fields


@pytest.mark.parametrize("name", NAMES)
def test_nobody_forges_it_in_a_trailer(pair: Pair, web: Web, name: str) -> None:
    head = lines("POST /echo HTTP/1.1", "host: web.shop", "transfer-encoding: chunked")
    with pair.stream(WEB) as stream:
        stream.send(head + wire.chunked([b"body"], f"{name}: {FORGED}", "x-kept: 1"))
        answer = stream.answer()
    for message in web.requests:
        assert ours(message.trailers) == []
        assert ours(message.fields) == [("injector-client-id", CLIENT)]
    assert answer.status == 400 or web.requests[0].trailers == [(b"x-kept", b"1")], "refused, or rid of it"


@pytest.mark.parametrize("line", READ_BY_SOME, ids=lambda line: str(line[:24]))
def test_nobody_forges_it_in_what_only_some_servers_read_as_a_request(pair: Pair, line: bytes) -> None:
    """Each was answered with the forged name by one of Node, uvicorn, aiohttp and http.server when it came unseen."""
    said: list[bytes] = []
    keep = lambda connection: said.append(connection.recv(65536))  # noqa: E731
    with accepting(pair.server, BYTES, keep), pair.stream(BYTES) as stream:
        stream.send(line + lines("", "host: a", f"injector-client-id: {FORGED}", "content-length: 0"))
        answer = stream.answer()
    assert (answer.get("injector-error"), FORGED.encode() in b"".join(said)) == ("bad_request", False)


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_nobody_forges_it_to_a_server_that_speaks_first_by_http2(pair: Pair, pause: float) -> None:
    """Node's says SETTINGS to whoever comes; a client that waits so long is thought to wait for its server."""
    node = ("node", str(PEERS / "web.js"), "serve", "h2", str(NODE))
    with apps.running(pair.server, *node, port=NODE), pair.stream(NODE) as stream:
        time.sleep(pause)
        stream.send(wire.http2_get("/fields", ("injector-client-id", FORGED), ("kept", "1")))
        fields = [(name.encode(), value.encode()) for name, value in json.loads(wire.http2_body(stream))]
    assert ours(fields) == [("injector-client-id", CLIENT)]
    assert (b"kept", b"1") in fields


@pytest.mark.parametrize("name", ["injector-client-id", "Injector-Client-Id"])
def test_nobody_makes_it_vanish(pair: Pair, web: Web, name: str) -> None:
    """As a field that Connection nominates does at the next hop (RFC 9110, section 7.6.1)."""
    with pair.stream(WEB) as stream:
        answer = stream.ask(request("GET", "/", f"connection: keep-alive, {name}"))
    assert answer.status in (200, 400)
    assert all(ours(message.fields) == [("injector-client-id", CLIENT)] for message in web.requests)
    assert len(web.requests) == (answer.status == 200)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_without_an_identity_has_none(stranger: Pair, name: str) -> None:
    with Web().serving(stranger.server, WEB) as web:
        curl = ("curl", "-sS", "-H", f"{name}: {FORGED}", f"http://{stranger.server.v4}:{WEB}/")
        said = stranger.client.execute("setpriv", "--reuid=2102", "--regid=2102", "--clear-groups", *curl).stdout
    assert said == "web"
    assert ours(web.requests[0].fields) == []
    assert stranger.theirs[0].metric("tcp_plaintext_total", reason="unmeshed_client") > 0


def test_traces_go_through_untouched(pair: Pair, web: Web) -> None:
    with pair.stream(WEB) as stream:
        assert stream.ask(request("GET", "/", *TRACES)).status == 200
    found = [f"{name.decode()}: {value.decode()}" for name, value in web.requests[0].fields]
    assert [each for each in found if each in TRACES] == [*TRACES]


def test_heads_keep_their_names_and_their_order(pair: Pair, web: Web) -> None:
    """Both ways. What HTTP calls equal is not equal to every application."""
    asked = [
        "X-Second: 2",
        "HOST: Web.Shop:80",
        "x-FIRST: 1",
        "Accept: */*",
        "X-Second: 3",
        "cookie: a=1; b=2",
        "aCCept: a",
    ]
    answered = ["X-Z: 1", "Set-Cookie: a=1", "x-a: 2", "SET-cookie: b=2", 'ETag: W/"x"', "Content-Length: 0"]
    web.routes["/order"] = lambda stream, _: stream.send(lines("HTTP/1.1 200 As It Is", *answered))
    with pair.stream(WEB) as stream:
        answer = stream.ask(lines("GET /order?a=%2F&b=../c HTTP/1.1", *asked))
    got = web.requests[0]
    assert got.start == b"GET /order?a=%2F&b=../c HTTP/1.1"
    assert told(got) == asked
    assert answer.start == b"HTTP/1.1 200 As It Is"
    assert told(answer) == answered


def told(message: Message) -> list[str]:
    named = [(name.decode(), value.decode()) for name, value in message.fields]
    return [f"{name}: {value}" for name, value in named if not name.startswith("injector-")]
