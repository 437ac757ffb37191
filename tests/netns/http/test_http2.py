"""HTTP/2 by prior knowledge, as nghttp2's programs speak it to nginx."""

from pathlib import Path

import pytest

from tests.netns.http import wire
from tests.netns.http.conftest import NGINX_H2
from tests.netns.http.pair import SERVICE, Pair

pytestmark = pytest.mark.netns

AT = f"http://{SERVICE}:{NGINX_H2}"


def test_nghttp_gets_all_of_several_streams(pair: Pair, files: Path, tmp_path: Path) -> None:
    (files / "page").write_bytes(b"x" * 100_000)
    said = pair.client.execute("nghttp", "-ns", "-m", "20", f"{AT}/page", f"{AT}/ok").stdout
    assert said.count(" 200 ") == 2 * 20, said
    assert "97K /page" in said


def test_nghttp_uploads(pair: Pair, files: Path, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(range(256)) * 4096)
    said = pair.client.execute("nghttp", "-v", "-H", ":method: PUT", "-d", str(upload), f"{AT}/uploaded").stdout
    assert ":status: 201" in said
    assert (files / "uploaded").read_bytes() == upload.read_bytes()


def test_h2load_makes_ten_thousand_requests(pair: Pair, files: Path) -> None:
    said = pair.client.execute("h2load", "-t1", "-n10000", "-c8", "-m10", f"{AT}/ok").stdout
    assert "10000 total, 10000 started, 10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout" in said


def test_h2load_makes_ten_thousand_requests_by_http1(pair: Pair, files: Path) -> None:
    said = pair.client.execute("h2load", "--h1", "-t1", "-n10000", "-c8", f"http://{SERVICE}:8081/ok").stdout
    assert "10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout" in said


def test_bytes_of_shared_connections_are_counted_by_whose_peer_opened_them(pair: Pair, files: Path) -> None:
    ends = ((pair.ours, "outbound"), (pair.theirs[0], "inbound"))

    def sent() -> list[int]:
        return [proxy.metric("tcp_bytes_total", direction=direction, flow="out") for proxy, direction in ends]

    (files / "page").write_bytes(b"x" * 1_000_000)
    before = sent()
    pair.client.execute("nghttp", "-n", f"{AT}/page")
    assert all(1_000_000 <= now - past < 1_100_000 for past, now in zip(before, sent(), strict=True))


def test_a_request_that_makes_no_sense_is_given_up_and_counted(pair: Pair, files: Path) -> None:
    with pair.stream(NGINX_H2) as stream:
        stream.send(wire.http2_get("/ok", ("connection", "close")))
        assert wire.http2_fault(stream) == wire.PROTOCOL_ERROR
    assert pair.ours.metric("http_stream_errors_total", direction="outbound", code="protocol_error") == 1
