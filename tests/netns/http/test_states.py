"""Requests that are smuggled through the state of a connection: whatever a client says early, late, or behind what ends
it, the servers read what the proxy has read, and nothing else."""

from collections.abc import Iterator
from typing import Final

import pytest
from _pytest.mark import ParameterSet

from tests.netns.http.readings import DifferentError, all_asked, compare, same, told_anywhere
from tests.netns.http.tellers import FORGED, SERVERS, Way, refused
from tests.netns.http.wire import lines

pytestmark = pytest.mark.netns

CANARY: Final = lines("GET /canary HTTP/1.1", "Host: canary", "Connection: close")
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n" + FORGED + b"\r\n"
LENGTH: Final = f"Content-Length: {len(SMUGGLED)}"
UPGRADE: Final = ("Host: a", "Connection: Upgrade", "Upgrade: echo")
WEBSOCKET: Final = (
    "Host: a",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
H2C: Final = ("Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
EXPECT: Final = ("Host: a", "Expect: 100-continue")
CHUNKED: Final = "Transfer-Encoding: chunked"
KEPT: Final = ("Host: a", "Connection: keep-alive")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def get(path: str, *fields: str, version: str = "1.1") -> bytes:
    return lines(f"GET {path} HTTP/{version}", *(fields or ("Host: a",)))


def post(path: str, *fields: str) -> bytes:
    return lines(f"POST {path} HTTP/1.1", *fields)


STATES: Final[dict[str, tuple[bytes, ...]]] = {
    "bytes behind an upgrade": (get("/switch", *UPGRADE), SMUGGLED),
    "bytes with an upgrade": (get("/switch", *UPGRADE) + SMUGGLED,),
    "an upgrade that is refused": (get("/other", *UPGRADE) + SMUGGLED,),
    "an upgrade with a body": (post("/switch", *UPGRADE, LENGTH) + SMUGGLED + SMUGGLED,),
    "an upgrade with a body later": (post("/switch", *UPGRADE, LENGTH), SMUGGLED + SMUGGLED),
    "an upgrade with a body later, and a slow answer": (post("/slow", *UPGRADE, LENGTH), SMUGGLED + SMUGGLED),
    "an upgrade with a body in pieces": (post("/switch", *UPGRADE, LENGTH) + SMUGGLED[:1], SMUGGLED[1:] + SMUGGLED),
    "an upgrade with a body of two": (post("/switch", *UPGRADE, "Content-Length: 1") + b"a", SMUGGLED),
    "an upgrade with chunks": (post("/switch", *UPGRADE, CHUNKED) + chunk(SMUGGLED) + b"0\r\n\r\n" + SMUGGLED,),
    "an upgrade of HTTP/1.0": (lines("GET /switch HTTP/1.0", *UPGRADE) + SMUGGLED,),
    "an upgrade to several": (get("/switch", *UPGRADE[:2], "Upgrade: echo, h2c") + SMUGGLED,),
    "a websocket of no version": (get("/chat", *WEBSOCKET, "Sec-WebSocket-Version: 1337") + SMUGGLED,),
    "a websocket": (get("/chat", *WEBSOCKET, "Sec-WebSocket-Version: 13") + SMUGGLED,),
    "h2c": (get("/", *H2C) + SMUGGLED,),
    "h2c and its preface": (get("/", *H2C) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + SMUGGLED,),
    "a body at once, though 100 is expected": (post("/", *EXPECT, LENGTH) + SMUGGLED,),
    "chunks at once, though 100 is expected": (post("/", *EXPECT, CHUNKED) + chunk(SMUGGLED) + b"0\r\n\r\n",),
    "a body later, after 100": (post("/", *EXPECT, LENGTH), SMUGGLED),
    "100 expected without a body": (get("/", *EXPECT) + SMUGGLED,),
    "an early answer, where 100 is expected": (post("/early", *EXPECT, LENGTH) + SMUGGLED,),
    "an early answer, and no body after it": (post("/early", *EXPECT, LENGTH), SMUGGLED),
    "an early answer to a body": (post("/early", "Host: a", LENGTH) + SMUGGLED,),
    "an early answer to half of a body": (post("/early", "Host: a", LENGTH) + SMUGGLED[:9], SMUGGLED[9:]),
    "an early answer to chunks": (post("/early", "Host: a", CHUNKED) + chunk(SMUGGLED), b"0\r\n\r\n"),
    "HEAD": (lines("HEAD / HTTP/1.1", "Host: a") + SMUGGLED,),
    "HEAD with a body": (lines("HEAD / HTTP/1.1", "Host: a", LENGTH) + SMUGGLED,),
    "HEAD twice": (lines("HEAD / HTTP/1.1", "Host: a") * 2 + SMUGGLED,),
    "answers that have no body": (get("/none") + get("/same") + SMUGGLED,),
    "HTTP/1.0 that keeps the connection": (
        get("/1", *KEPT, version="1.0") + get("/2", *KEPT, version="1.0") + SMUGGLED,
    ),
    "HTTP/1.0 that does not": (get("/1", version="1.0") + SMUGGLED,),
    "HTTP/1.0 with a body": (lines("POST / HTTP/1.0", *KEPT, LENGTH) + SMUGGLED + SMUGGLED,),
    "HTTP/1.0 after HTTP/1.1": (get("/1") + get("/2", version="1.0") + SMUGGLED,),
    "a last request": (get("/", "Host: a", "Connection: close") + SMUGGLED,),
    "a last request with a body": (post("/", "Host: a", "Connection: close", LENGTH) + SMUGGLED + SMUGGLED,),
    "one by one": (get("/1"), get("/2"), SMUGGLED),
    "all at once": (get("/1") + post("/2", "Host: a", LENGTH) + SMUGGLED + get("/3") + SMUGGLED,),
    "chunks between requests": (
        get("/1") + post("/2", "Host: a", CHUNKED) + chunk(SMUGGLED) + b"0\r\n\r\n" + SMUGGLED,
    ),
    "trailers": (post("/", "Host: a", CHUNKED) + chunk(b"hello") + b"0\r\n" + FORGED + b"X: a\r\n\r\n" + SMUGGLED,),
    "a body where none is meant": (get("/", "Host: a", LENGTH) + SMUGGLED,),
    "an empty line between requests": (post("/", "Host: a", "Content-Length: 2") + b"ab\r\n" + SMUGGLED,),
    "a line in pieces": (b"GET /a", b"b HTT", b"P/1.1\r\nHo", b"st: a\r\n" + FORGED, b"\r", b"\n" + SMUGGLED),
    "a body in pieces": (
        post("/", "Host: a", CHUNKED) + b"5",
        b"\r",
        b"\nhel",
        b"lo\r",
        b"\n0\r\n\r",
        b"\n" + SMUGGLED,
    ),
    "an empty line, and then a request": (b"\r\n", get("/") + SMUGGLED),
    "half of an empty line": (b"\r", b"\n" + get("/") + SMUGGLED),
    "bytes with CONNECT": (lines("CONNECT a:443 HTTP/1.1", "Host: a:443") + SMUGGLED,),
    "bytes behind CONNECT": (lines("CONNECT a:443 HTTP/1.1", "Host: a"), SMUGGLED),
    "CONNECT of HTTP/1.0": (lines("CONNECT [::1]:443 HTTP/1.0", "Host: [::1]") + SMUGGLED,),
}
"""What a client says, with a pause between the pieces; a canary follows at once. Whatever is smuggled says that the
client is somebody else. To CONNECT, servers say 200 that know nothing of tunnels."""


EMPTY: Final = ("an empty line, and then a request", "half of an empty line")
"""The servers get the empty line at once, and some decline it."""

CONNECTS: Final = (
    "a handler of all methods answers CONNECT with 200, and net/http reads requests in what is a tunnel to us"
)
FOUND: Final = {("go", state): CONNECTS for state in ("bytes with CONNECT", "bytes behind CONNECT")}
"""Findings that are not repaired."""


def each() -> Iterator[ParameterSet]:
    for server in SERVERS:
        for state in STATES:
            reason = FOUND.get((server, state))
            mark = pytest.mark.xfail(strict=True, raises=DifferentError, reason=reason) if reason else ()
            yield pytest.param(server, state, marks=mark)


@pytest.mark.parametrize(("server", "state"), list(each()))
def test_both_read_the_same(way: Way, server: str, state: str) -> None:
    pieces = STATES[state]
    said, tapped = way.exchange(server, *pieces[:-1], pieces[-1] + CANARY)
    for _, answers in tapped:
        if deceived := [one for one in told_anywhere(answers) if one.mesh != [*way.mesh]]:
            raise DifferentError(f"somebody else was believed in: {deceived}")
    pairs = [pair for heard, answers in tapped for pair in compare(heard, answers)]
    forwarded = [reading for reading, _ in pairs]
    expected = [way.arriving(one) for one in all_asked(b"".join(pieces) + CANARY)]
    for ours, theirs in zip(expected, forwarded, strict=False):
        same(ours, theirs)
    tunnel = bool(pairs) and pairs[-1][1].is_tunnel
    nothing = state in EMPTY and not pairs
    if len(forwarded) != len(expected) and not tunnel and not nothing and not refused(said):
        raise DifferentError(f"expected were {expected}, and arrived are {forwarded}; the client has {said!r}")
    if told_anywhere(said) != [answer.reading for _, answer in pairs if answer.reading]:
        raise DifferentError(f"the client's answers are others: {said!r}, of {pairs}")
