"""The table of malformed requests (injector/proxy/src/http/h1/cases.rs) with real servers behind the proxy: what it
carries, they read as it does; what it refuses, they never see."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pytest

from tests.netns.http.readings import DifferentError, Reading, all_asked, compare, same, told_anywhere
from tests.netns.http.tellers import DEAF, FORGED, PEERS, SERVERS, Way, forged, refused, talk
from tests.netns.http.wire import READ
from tests.netns.pods import Pod

pytestmark = pytest.mark.netns

CANARY: Final = b"GET /canary HTTP/1.1\r\nHost: canary\r\nConnection: close\r\n\r\n"
"""Follows a case on its connection: whoever has read the case otherwise reads this otherwise."""

CHUNKED: Final = b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO: Final = b"5\r\nhello\r\n0\r\n\r\n"
ENDLESS: Final = b"9223372036854775807"
"""A length that nobody sends."""

CHUNKS: Final = (
    b"0\r\n\r\n",
    b"000\r\n\r\n",
    b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
    b"0000000000000005\r\n\r\n0\r\n\r\n0\r\n\r\n",
    b'5;a;b=c;d="e f"\t\xff\r\nhello\r\n0;x\r\n\r\n',
    b"2a\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nX: abcdef\r\n0\r\n\r\n",
    b"0\r\nX: a\r\nY:\r\n\r\n",
    b"0\r\nContent-Length: 5\r\nX: a\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\r\n",
    b"5\r\nhello\r\n0\r\n" + FORGED + b"X: a\r\n\r\n",
)
"""Well-formed bodies."""

SPLITTERS: Final = tuple(
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a" + sign + FORGED + b"\r\n" for sign in (b"\x85", b"\xa0", b"\xe2\x80\xa8")
)
"""Values with what somebody may take for the end of a line."""


OPAQUE: Final = (
    b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET\0 / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP /1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n",
    b"GET\r\n\r\n",
)
"""What of the table does not begin like HTTP/1 (src/http/detect.rs), and passes as plain bytes."""

DISGUISED: Final = (
    b"GET /\r\nHost: a\r\n\r\n",
    b"GET /\nHost: a\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET  / \r\nHost: a\r\n\r\n",
    b"GET x\r\nHost: a\r\n\r\n",
    b"get /\r\nHost: a\r\n\r\n",
    b"\r\nGET /\r\nHost: a\r\n\r\n",
    b"POST /\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST *\r\nHost: a\r\n\r\n",
    b"OPTIONS *\r\nHost: a\r\n\r\n",
    b"GET /\rHost: a\r\n\r\n",
    b"GET / \rHost: a\r\n\r\n",
    b"GET /\r\rHost: a\r\n\r\n",
    b"GET /\x0cHost: a\r\n\r\n",
    b"GET /?\r\nHost: a\r\n\r\n",
    b"M-SEARCH *\r\nHost: a\r\n\r\n",
    b"CONNECT a:443\r\nHost: a\r\n\r\n",
    b"CONNECT a\r\nHost: a\r\n\r\n",
    b"CONNECT a:\r\nHost: a\r\n\r\n",
    b"CONNECT a@b:80\r\nHost: a\r\n\r\n",
    b"CONNECT a:80?c\r\nHost: a\r\n\r\n",
    b"CONNECT [::1]\r\nHost: a\r\n\r\n",
    b"CONNECT {}\r\nHost: a\r\n\r\n",
    b"GET  /\r\nHost: a\r\n\r\n",
    b"GET x://\r\nHost: a\r\n\r\n",
    b"GET_PARAMETER /\r\nHost: a\r\n\r\n",
    b"CONNECT a RTSP/1.0\r\nHost: a\r\n\r\n",
    b"DESCRIBE a RTSP/1.0\r\nHost: a\r\n\r\n",
    b"DESCRIBE  / RTSP/1.0\r\nHost: a\r\n\r\n",
    b"GET /\x85RTSP/1.0\r\nHost: a\r\n\r\n",
    b"GET / RTSP/9.9\r\nHost: a\r\n\r\n",
    b"GET / RTSP/1.0 \r\nHost: a\r\n\r\n",
    b"GET / ICE/1.0\r\nHost: a\r\n\r\n",
    b"GET http://a/\r\nHost: a\r\n\r\n",
    b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n",
    b"DESCRIBE rtsp://a/b RTSP/1.0\r\nHost: a\r\n\r\n",
    b"POST / RTSP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"SETUP / RTSP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n" + FORGED + b"\r\n",
    b"SOURCE /a ICE/1.0\r\nHost: a\r\n\r\n",
    b"GET / HTTQ/1.1\r\nHost: a\r\n\r\n",
    b"\x01GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\xe9T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"{} / SIP/2.0\r\nHost: a\r\n\r\n",
)
"""Other beginnings that may pass as plain bytes, if only nobody takes them for a request."""

FOUND: Final = {
    "http.server": "it takes any bytes for a method, and Werkzeug answers all methods",
}
"""Findings that are not repaired."""

HTTP2: Final = b"\0\0\x12\x04\0\0\0\0\0"
"""What the proxy begins with where it has been told of HTTP/2: SETTINGS (RFC 9113, section 6.5)."""

HEADS: Final = ("request_lines", "fields", "framings")
LATE_SECONDS: Final = 0.2
PATIENCE_SECONDS: Final = 0.4


@dataclass
class Case:
    list: str
    label: str
    data: bytes


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    program = tmp_path_factory.mktemp("cases") / "cases"
    subprocess.run(["rustc", "--edition", "2024", "-o", program, PEERS / "cases.rs"], check=True, timeout=60)
    printed = subprocess.run([program], check=True, capture_output=True, text=True, timeout=10).stdout
    rows = [line.split(" ") for line in printed.splitlines()]
    return [Case(name, label, bytes.fromhex(digits)) for name, label, digits in rows]


def carried(cases: list[Case]) -> list[bytes]:
    """Requests with their bodies that must arrive. CONNECT is among the states of connections."""
    heads = [case.data for case in cases if case.list == "passed" and not case.data.startswith(b"CONNECT ")]
    return [*map(with_body, heads), *(CHUNKED + body for body in CHUNKS), *SPLITTERS]


def with_body(head: bytes) -> bytes:
    if b"\r\ntransfer-encoding:" in head.lower():
        return head + HELLO
    lengths = [
        line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    ]
    return head + b"hello"[: min(int(length), 5)] if (length := next(iter(lengths), b"0")) else head


def gathered(check: Callable[[bytes], None], each: Iterable[bytes]) -> list[str]:
    """What differs, case by case."""
    found = []
    for one in each:
        try:
            check(one)
        except DifferentError as error:
            found.append(f"{one!r}: {error}")
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_what_is_carried_is_read_alike(way: Way, server: str, cases: list[Case]) -> None:
    declined: list[bytes] = []

    def check(case: bytes) -> None:
        endless = ENDLESS in case
        sent = forged(case) + CANARY
        said, tapped = way.exchange(server, sent, done=endless)
        pairs = [pair for heard, answers in tapped for pair in compare(heard, answers)]
        arrived([one for heard, _ in tapped for one in all_asked(heard)], [*map(way.arriving, all_asked(sent))])
        declined.extend(case for _, answer in pairs if answer.reading is None)
        if not endless and len(pairs) != len(all_asked(sent)):
            raise DifferentError(f"the server has answered {pairs}; the client has {said!r}")
        if told_anywhere(said) != [answer.reading for _, answer in pairs if answer.reading]:
            raise DifferentError(f"the client's answers are others: {said!r}, of {pairs}")

    each = carried(cases)
    assert len(each) > 45
    assert gathered(check, each) == []
    print(f"{server} declines {len(declined)} of {len(each)}: {declined}")
    assert len(declined) < len(each) / 4


def arrived(forwarded: list[Reading], expected: list[Reading]) -> None:
    if len(forwarded) != len(expected):
        raise DifferentError(f"{len(expected)} requests were sent, and arrived are {forwarded}")
    for ours, theirs in zip(expected, forwarded, strict=True):
        same(ours, theirs)


def test_what_is_refused_reaches_nobody(way: Way, cases: list[Case]) -> None:
    opaque = []

    def check(case: bytes) -> None:
        said, tapped = way.exchange(DEAF, case, CANARY, pause=0, done=True)
        if tapped == [(case + CANARY, b"")]:
            opaque.append(case)
        elif tapped:
            raise DifferentError(f"{tapped} arrived")
        if not tapped and not refused(said) and not said.startswith(HTTP2):
            raise DifferentError(f"the client has {said!r}")

    heads = [case.data for case in cases if case.list in HEADS]
    assert len(heads) > 260
    assert gathered(check, heads) == []
    assert opaque == [case for case in heads if case in OPAQUE]


@pytest.mark.parametrize("server", SERVERS)
def test_a_malformed_body_is_the_end(way: Way, server: str, cases: list[Case]) -> None:
    def check(body: bytes) -> None:
        said, tapped = way.exchange(server, CHUNKED + body + CANARY)
        for heard, told in tapped:
            if [one.body for one in all_asked(heard)] != [None]:
                raise DifferentError(f"{heard!r} arrived; the client has {said!r}")
            if any(one.body is not None or one.target != "/chunked" for one in told_anywhere(told)):
                raise DifferentError(f"the server has read {told_anywhere(told)}")

    bodies = [case.data for case in cases if case.list == "bodies"]
    assert len(bodies) > 50
    assert gathered(check, bodies) == []
    time.sleep(LATE_SECONDS)
    assert way.taps[server].take() == []


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(
            name,
            marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)
            if (reason := FOUND.get(name))
            else (),
        )
        for name in SERVERS
    ],
)
def test_nobody_takes_for_a_request_what_the_proxy_does_not(way: Way, server: str) -> None:
    """What passes as plain bytes must not be a request with fields to anybody: they could be the mesh's."""
    with ThreadPoolExecutor(16) as pool:
        [
            *pool.map(
                lambda case: talk(way.connect(server), forged(case), done=True, pause=LATE_SECONDS),
                {*OPAQUE, *DISGUISED},
            )
        ]
    tapped = way.taps[server].take()
    believed = [heard for heard, said in tapped if any(one.mesh != [*way.mesh] for one in told_anywhere(said))]
    print(f"{server} believes {believed}")
    assert believed == []


@pytest.mark.parametrize("way", ["stranger"], indirect=True)
def test_what_the_servers_would_have_read(way: Way, cases: list[Case]) -> None:
    """Without the proxy; for people, who see it with -s or -rP. That it prints something else than noughts shows that
    the other tests would notice."""
    heads = [case.data for case in cases if case.list in HEADS]
    bodies = [CHUNKED + case.data for case in cases if case.list == "bodies"]
    total: Counter[str] = Counter()
    for server, port in SERVERS.items():
        with ThreadPoolExecutor(16) as pool:
            for what, each in (("heads", heads), ("bodies", bodies)):
                count = Counter(pool.map(lambda case, port=port: bare(way.pair.server, port, case), each))
                total += count
                print(f"{server}: of {len(each)} malformed {what}: {dict(count.most_common())}")
    assert total["read"] > 100
    assert total["read, and what is smuggled behind it"] > 10


def bare(pod: Pod, port: int, case: bytes) -> str:
    """What becomes of a case that no proxy has seen."""
    with pod.connect(pod.v4, port, timeout=PATIENCE_SECONDS) as connection:
        said = b""
        with suppress(ConnectionError, TimeoutError):
            connection.sendall(case + CANARY)
            while chunk := connection.recv(READ):
                said += chunk
    told = told_anywhere(said)
    if any(one.target == "/smuggled" for one in told):
        return "read, and what is smuggled behind it"
    if told and told[0].target != "/canary":
        return "read"
    return "refused" if said else "nothing said"
