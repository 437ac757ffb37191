"""The HTTP benchmarks' pure parts: what clients say, what peers are told, tables and aims."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from benches.connections import summary as connections_summary
from benches.connections.measure import KINDS, Amount, Held, granted
from benches.connections.measure import Figures as Proxy
from benches.connections.measure import Found as Connections
from benches.http import clients, envoy, haproxy, summary
from benches.http.answer import Answer
from benches.http.links import total
from benches.http.measure import Found, States
from benches.http.rows import BY_NAME, HAPROXY, HTTP1, INJECTOR, LINKS, PORTS, ROWS, UNMESHED, Case, Figures
from benches.http.servers import nginx_configuration
from benches.processes import Memory
from benches.progress import BenchError
from benches.tls.certificates import CLIENT, SERVER

WRK = """\
Running 1s test @ http://10.77.1.2:8080/
Requests/sec:  94965.00
{"requests": 95000, "microseconds": 1000368, "bytes": 15000000, "p50": 276, "p99": 893, "failed": 0}
"""
H2LOAD = """\
finished in 1.00s, 182390.00 req/s, 6.26MB/s
requests: 182390 total, 182470 started, 182390 done, 182390 succeeded, 0 failed, 0 errored, 0 timeout
traffic: 6.26MB (6566819) total, 356.32KB (364876) headers (space savings 94.74%), 1.04MB (1094340) data
"""


def test_wrk_is_understood() -> None:
    seen = clients.read(BY_NAME["closed-32"], WRK)
    assert seen.rate == pytest.approx(94965, abs=1)
    assert (seen.count, seen.bytes, seen.p50, seen.p99) == (95000, 15000000, 0.000276, 0.000893)


def test_h2load_is_understood() -> None:
    assert clients.read(BY_NAME["h2"], H2LOAD) == clients.Seen(182390.0, 182390, 6566819)


def test_our_own_clients_are_understood() -> None:
    said = {"rate": 1000.5, "count": 1000, "bytes": 160000, "p50": 0.0002, "p99": 0.0008}
    assert clients.read(BY_NAME["open-1000"], json.dumps(said)) == clients.Seen(1000.5, 1000, 160000, 0.0002, 0.0008)
    stream = clients.read(BY_NAME["grpc-stream"], '{"count": 500, "seconds": 0.5}')
    assert stream == clients.Seen(1000.0, 500, 500 * (5 + clients.MESSAGE_SIZE))


@pytest.mark.parametrize(
    ("row", "output"),
    [
        ("closed-32", WRK.replace('"failed": 0', '"failed": 3')),
        ("closed-32", WRK.replace('"requests": 95000', '"requests": 0')),
        ("h2", H2LOAD.replace("182390 succeeded", "182000 succeeded")),
        ("h2", "error: could not connect"),
    ],
)
def test_failed_requests_are_no_figures(row: str, output: str) -> None:
    with pytest.raises(BenchError):
        clients.read(BY_NAME[row], output)


def test_every_row_has_a_command_for_its_target() -> None:
    for row in ROWS:
        words = " ".join(clients.command(row, "10.99.0.7", row.port, 2.0))
        assert "10.99.0.7" in words
        assert str(row.port) in words
    assert "Connection: close" in clients.command(BY_NAME["connect-16"], "a", 1, 1)
    assert "Connection: close" not in clients.command(BY_NAME["closed-32"], "a", 1, 1)


def test_a_grpc_message_says_its_length() -> None:
    assert clients.message()[:5] == bytes([0, 0, 0, 0, clients.MESSAGE_SIZE])
    assert len(clients.message()) == 5 + clients.MESSAGE_SIZE


ANSWER = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 3\r\n\r\nok\n"


@pytest.mark.parametrize("at", range(1, len(ANSWER)))
def test_an_answer_is_whole_however_it_comes(at: int) -> None:
    answer = Answer()
    assert not answer.take(ANSWER[:at])
    assert answer.take(ANSWER[at:])
    assert answer.size == len(ANSWER)


@pytest.mark.parametrize(
    "data",
    [
        ANSWER + b"more",
        ANSWER.replace(b"200 OK", b"503 Service Unavailable"),
        ANSWER.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    ],
)
def test_another_answer_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        Answer().take(data)


def test_an_answer_that_ends_early_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        Answer().take(b"")


def test_haproxys_ends_meet() -> None:
    client, server = (haproxy.configuration(end, "10.77.3.2", connections=4000) for end in (CLIENT, SERVER))
    for port in PORTS:
        assert f"bind 127.0.0.1:{haproxy.ENTRIES[port]}" in client
        assert f"server far 10.77.3.2:{haproxy.TUNNELS[port]} ssl" in client
        assert f"bind 10.77.3.2:{haproxy.TUNNELS[port]} ssl" in server
        assert f"server far 10.77.3.2:{port}" in server
    for one in (client, server):
        assert one.count("verify required") == len(PORTS)
        assert one.count("alpn http/1.1") == 1


@pytest.mark.parametrize("http2_between", [False, True])
def test_envoys_ends_meet(http2_between: bool) -> None:
    client, server = (
        envoy.configuration(end, "10.77.5.2", http2_between=http2_between)["static_resources"]
        for end in (CLIENT, SERVER)
    )
    for near, far in zip(client["clusters"], server["listeners"], strict=True):
        dialled = near["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        assert dialled == far["address"]
        assert far["filter_chains"][0]["transport_socket"]["typed_config"]["require_client_certificate"]
    protocols = [json.dumps(one["typed_extension_protocol_options"]) for one in client["clusters"]]
    assert ["http2" in one for one in protocols] == [http2_between, True, True]
    assert "http2" not in json.dumps(server["clusters"][0]["typed_extension_protocol_options"]), "nginx's own port"


def test_nginx_serves_both_protocols() -> None:
    text = nginx_configuration("pod")
    assert f"listen {HTTP1} backlog" in text
    assert "listen 8081 http2" in text


def test_a_metric_is_added_up_over_its_labels() -> None:
    metrics = '# HELP a b\na{x="1"} 2\na{x="2"} 3\nab 7\nb 1\n'
    assert [total(metrics, name) for name in ("a", "b", "c")] == [5, 1, 0]


def _figures(link: str, row: str) -> Figures:
    times = {UNMESHED: 1.0, INJECTOR: 2.0, HAPROXY: 3.0}.get(link, 4.0)
    cpu = 0.0 if link == UNMESHED else times * 4e-6
    timed = row.startswith(("closed", "open", "connect", "body"))
    return Figures(
        rate=100_000 / times,
        bits=1e9,
        client=cpu,
        server=cpu,
        machine=3 * cpu,
        p50=times * 60e-6 if timed else None,
        p99=times * 1e-4 if timed else None,
    )


def _found() -> Found:
    runs = {Case(link, row.name): [_figures(link, row.name)] * 3 for row in ROWS for link in LINKS}
    memory = Memory(rss=4_000_000, pss=3_000_000)
    loaded = Memory(rss=9_000_000, pss=8_000_000)
    return Found(runs, {INJECTOR: [States(memory, loaded, memory)] * 2})


def test_http_tables_have_the_columns_that_were_measured() -> None:
    tables = {table.title.partition(":")[0]: table for table in summary.summarise(_found()).tables}
    assert list(tables) == [*BY_NAME, "Memory of one proxy, MB"]
    assert tables["closed-32"].rows[1] == [INJECTOR, "50,000", "120", "200", "16", "8", "8", "24"]
    assert tables["h2"].columns == ["", "requests/s", "proxies' CPU µs", "client's", "server's", "all CPU µs"]
    assert tables["body-64k"].columns[2] == "Gb/s"
    assert tables["Memory of one proxy, MB"].rows == [[INJECTOR, "4", "3", "9", "8", "4", "3"]]


def test_http_aims_are_against_haproxy_and_unmeshed() -> None:
    aims = summary.summarise(_found()).aims
    measured = [round(aim.measured, 3) for aim in aims]
    assert measured == [0.667, 0.667, 60, 0.667, 120, 0.667, 20, 20, 20, 4]
    assert all(aim.met for aim in aims)


def _slower(found: Found) -> Found:
    runs = {
        case: [replace(run, rate=run.rate / 2, p50=(run.p50 or 0) * 3) for run in runs]
        if case.link == INJECTOR
        else runs
        for case, runs in found.runs.items()
    }
    return Found(runs, found.memory)


def test_http_aims_can_be_missed() -> None:
    missed = [aim.what.partition(":")[0] for aim in summary.summarise(_slower(_found())).aims if not aim.met]
    assert missed == [
        "32 connections",
        "1,000/s",
        "1 connection",
        "a connection each",
        "h2",
        "grpc-unary",
        "grpc-stream",
    ]


@pytest.mark.parametrize(
    ("wanted", "aims"),
    [
        (lambda case: case.row == "closed-32", 2),
        (lambda case: case.row == "closed-32" and case.link == INJECTOR, 0),
        (lambda case: case.link != INJECTOR, 0),
        (lambda case: case.row == "h2" and case.link == INJECTOR, 1),
    ],
)
def test_a_selection_has_the_aims_that_it_can_tell(wanted: Callable[[Case], bool], aims: int) -> None:
    runs = {case: runs for case, runs in _found().runs.items() if wanted(case)}
    assert len(summary.summarise(Found(runs)).aims) == aims


def test_as_many_connections_are_held_as_there_are_descriptors_for() -> None:
    wanted = Amount(idle=10_000, busy=1_000)
    assert granted(wanted, 65_536) == wanted
    assert granted(wanted, 20_000).idle == 8_488
    assert granted(wanted, 20_000).busy == 1_000


def test_connections_are_held_to_what_each_end_holds() -> None:
    def memory(mib: float) -> Memory:
        return Memory(rss=int(mib * 2**20), pss=0)

    client = Proxy(memory(4), memory(14), memory(20), memory(4.4), Held(plain=2048, encrypted=4))
    server = Proxy(memory(4), memory(5), memory(6), memory(6), Held(plain=4, encrypted=100))
    found = Connections(Amount(idle=2048, busy=100), {kind: [client, server] for kind in KINDS})
    report = connections_summary.summarise(found)
    growth, left, server_growth, server_left = report.aims
    assert growth.measured == pytest.approx(10 * 1024 / (4 * 2048 + 12 * 4))
    assert not growth.met
    assert left.met
    assert server_growth.measured == pytest.approx(1024 / (4 * 4 + 12 * 100))
    assert server_growth.met
    assert not server_left.met
    assert report.tables[0].rows[0] == [f"{INJECTOR}, client's", "4.19", "2,048", "4", "14.7", "5", "21", "4.61"]
