"""The TCP figures as tables. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.report import Report, Table, figure
from benches.statistics import median
from benches.tcp.measure import CONNECT, CONNECTING_AT_ONCE, PING, ROUNDS, STREAMS, Case, Figures
from benches.tcp.meshes import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTES = f"""\
Each row: client pod, its proxy, the server pod's proxy, server; network namespaces joined by veth. Connections reach
the proxies by the webhook's own iptables rules and SO_ORIGINAL_DST. All of it shares the machine's cores.
injector: defaults, one worker, to a pod that it believes to have no proxy: plain bytes. haproxy: Debian's, mode tcp,
`server *` (dials the original destination), nbthread 1, no TLS, behind the same rules.
Streams: iperf3, client to server. "proxies": user and system time of both processes together, for 10^9 bytes; "all":
everything on every core, with clients, servers and the kernel's interrupts.
New connections: {CONNECTING_AT_ONCE} at a time, each opened, one byte there and back, closed.
"""


def summarise(found: Mapping[Case, Sequence[Figures]]) -> Report:
    """Medians of the rounds, beside each other."""
    rows = _rows(found)
    return Report(
        name="tcp",
        tables=[
            Table(
                f"TCP throughput (medians of {ROUNDS})",
                [
                    "",
                    *(f"{traffic}, {unit}" for traffic in STREAMS for unit in ("Gb/s", "proxies s/GB", "all s/GB")),
                ],
                [[link, *(cell for traffic in STREAMS for cell in rows[link, traffic][:3])] for link in KINDS],
            ),
            Table(
                f"TCP latency and set-up (medians of {ROUNDS})",
                ["", "ping-pong p50 µs", "p99 µs", "proxies' CPU µs", "new connections/s", "proxies' CPU µs"],
                [
                    [link, *rows[link, PING][3:], rows[link, PING][1], rows[link, CONNECT][0], rows[link, CONNECT][1]]
                    for link in KINDS
                ],
            ),
        ],
        aims=[],
        notes=NOTES,
        raw=[{**asdict(case), "runs": [asdict(run) for run in runs]} for case, runs in found.items()],
    )


def _rows(found: Mapping[Case, Sequence[Figures]]) -> dict[tuple[str, str], list[str]]:
    """By link and traffic: rate, CPU of proxies, CPU of all, and p50 and p99 where there are."""
    rows = {}
    for case, runs in found.items():
        rate_unit, cpu_unit = (1e9, 1.0) if case.traffic in STREAMS else (1.0, 1e-6)
        cells = [figure(median([run.rate for run in runs]) / rate_unit)]
        cells.append(figure(median([run.proxy_cpu for run in runs]) / cpu_unit))
        cells.append(figure(median([run.machine_cpu for run in runs]) / cpu_unit))
        for latencies in ([run.p50 for run in runs], [run.p99 for run in runs]):
            known = [latency for latency in latencies if latency is not None]
            cells += [figure(median(known) * 1e6)] if known else []
        rows[case.link, case.traffic] = cells
    return rows
