"""What curl does with HTTP/1, through both proxies."""

import re
import time
from pathlib import Path

import pytest

from tests.netns.http.apps import Web, digest
from tests.netns.http.conftest import NGINX, WEB
from tests.netns.http.pair import SERVICE, Pair
from tests.netns.http.wire import Message, Stream, chunked, lines, response

pytestmark = pytest.mark.netns

AT = f"http://{SERVICE}:{WEB}"
UPLOAD = bytes(range(256)) * 8192
"""Two megabytes: from one on, curl asks first (`Expect: 100-continue`)."""


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(UPLOAD)
    return path


@pytest.mark.parametrize(("version", "spoken"), [("--http1.0", "1.0"), ("--http1.1", "1.1")])
def test_both_versions_are_answered(pair: Pair, web: Web, version: str, spoken: str) -> None:
    assert pair.curl(version, f"{AT}/") == "web"
    assert web.requests[-1].start == f"GET / HTTP/{spoken}".encode()


def test_old_servers_are_understood(pair: Pair, web: Web) -> None:
    """HTTP/1.0 without a length: the end of the connection is the end of the body."""

    def old(stream: Stream, _: Message) -> None:
        stream.send(lines("HTTP/1.0 200 OK", "content-type: text/plain") + b"until the end")
        stream.socket.close()

    web.routes["/old"] = old
    assert pair.curl(f"{AT}/old") == "until the end"


def test_one_connection_carries_many_requests(pair: Pair, web: Web) -> None:
    said = pair.curl("-w", " %{http_code} %{num_connects}\n", *[f"{AT}/{number}" for number in range(5)])
    assert said.splitlines() == ["web 200 1", *["web 200 0"] * 4]
    assert [request.path for request in web.requests] == [f"/{number}" for number in range(5)]


def test_an_upload_of_unknown_length_arrives(pair: Pair, web: Web, upload: Path, tmp_path: Path) -> None:
    with upload.open("rb") as source:
        back = tmp_path / "back"
        words = ("curl", "-sS", "-H", "Expect:", "-T", "-", "-o", str(back), f"{AT}/echo")
        pair.client.execute("sh", "-c", 'file=$1; shift; exec "$@" < "$file"', "sh", source.name, *words)
    assert back.read_bytes() == UPLOAD
    assert web.requests[0].get("transfer-encoding") == "chunked"
    assert web.requests[0].get("content-length") is None


def test_a_large_upload_waits_for_100_continue(pair: Pair, web: Web, upload: Path, tmp_path: Path) -> None:
    back = tmp_path / "back"
    words = ("curl", "-sSv", "--expect100-timeout", "20", "--data-binary", f"@{upload}", "-o", str(back))
    said = pair.client.execute(*words, "-w", "%{time_total}", f"{AT}/echo")
    assert "< HTTP/1.1 100 Continue" in said.stderr
    assert float(said.stdout) < 10, "it went by the server's word, not by waiting"
    assert back.read_bytes() == UPLOAD
    assert web.requests[0].get("expect") == "100-continue"


def test_an_expectation_may_be_refused(pair: Pair, files: Path, upload: Path) -> None:
    said = pair.client.execute(
        "curl", "-sSv", "-T", str(upload), "-w", "%{size_upload}", f"http://{SERVICE}:{NGINX}/small/a"
    )
    assert "< HTTP/1.1 413 " in said.stderr
    assert said.stdout.endswith("\n0"), "not one byte of the body was sent"


def test_an_early_answer_ends_a_large_upload(pair: Pair, files: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    said = pair.curl(
        "-H", "Expect:", "-T", huge, "-w", "%{http_code} %{size_upload}", f"http://{SERVICE}:{NGINX}/small/b"
    )
    status, sent = said.splitlines()[-1].split()
    assert status == "413"
    assert int(sent) < 64 * 1024 * 1024, "the rest was not sent in vain"


def test_head_has_a_length_and_no_body(pair: Pair, web: Web) -> None:
    said = pair.curl("-I", "-w", "%{num_connects} %{size_download}\n", f"{AT}/large", f"{AT}/large")
    assert re.findall(r"(?i)content-length: (\d+)", said) == [str(1024 * 1024)] * 2
    assert re.findall(r"(?m)^(\d) (\d+)$", said) == [("1", "0"), ("0", "0")], "the connection stays good"


@pytest.mark.parametrize(("path", "status"), [("/none", "204"), ("/same", "304")])
def test_answers_without_a_body_leave_the_connection_good(pair: Pair, web: Web, path: str, status: str) -> None:
    said = pair.curl("-w", "%{http_code} %{num_connects}\n", f"{AT}{path}", f"{AT}{path}", f"{AT}/echo")
    assert said.splitlines() == [f"{status} 1", f"{status} 0", "200 0"]


def test_trailers_reach_the_client(pair: Pair, web: Web, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    assert pair.curl("-D", heads, f"{AT}/trailers") == "onetwothree"
    assert "x-sum: 3" in heads.read_text().lower()


def test_trailers_reach_the_server(pair: Pair, web: Web) -> None:
    head = lines("POST /echo HTTP/1.1", "host: web.shop", "trailer: x-sum", "transfer-encoding: chunked")
    with pair.stream(WEB) as stream:
        assert stream.ask(head + chunked([b"a", b"bc"], "x-sum: 2")).body == b"abc"
    assert [(name.lower(), value) for name, value in web.requests[0].trailers] == [(b"x-sum", b"2")]


def test_informational_answers_come_before_the_answer(pair: Pair, web: Web) -> None:
    hint = lines("HTTP/1.1 103 Early Hints", "link: </style.css>; rel=preload")
    web.routes["/hint"] = lambda stream, _: stream.send(hint + response(200, body=b"then"))
    said = pair.curl("-i", f"{AT}/hint")
    assert re.search(r"(?s)103 Early Hints.*style\.css.*200 .*then", said)


def test_pipelined_requests_are_answered_in_order(pair: Pair, web: Web) -> None:
    with pair.stream(WEB) as stream:
        ask = [f"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n{number}".encode() for number in range(9)]
        stream.send(b"".join(ask))
        assert [stream.answer().body for _ in ask] == [b"%d" % number for number in range(9)]


def test_a_client_that_leaves_frees_the_server(pair: Pair, web: Web) -> None:
    """An endless answer ends when nobody reads it any more."""
    ended: list[str] = []

    def endless(stream: Stream, _: Message) -> None:
        stream.send(lines("HTTP/1.1 200 OK", "transfer-encoding: chunked"))
        try:
            while True:
                stream.send(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        except OSError as error:
            ended.append(type(error).__name__)

    web.routes["/endless"] = endless
    pair.client.execute("curl", "-sS", "--max-time", "0.3", "-o", "/dev/null", f"{AT}/endless", check=False)
    until = time.monotonic() + 5
    while not ended:
        assert time.monotonic() < until, "the server goes on"
        time.sleep(0.01)


def test_a_file_goes_both_ways_by_http2(pair: Pair, files: Path, upload: Path, tmp_path: Path) -> None:
    back, at = tmp_path / "back", f"http://{SERVICE}:8082/file"
    known = "--http2-prior-knowledge"
    assert pair.curl(known, "-T", upload, "-w", "%{http_code} %{http_version}", at) == "201 2"
    assert pair.curl(known, "-o", back, "-w", "%{http_code} %{http_version}", at) == "200 2"
    assert digest(back) == digest(upload)
