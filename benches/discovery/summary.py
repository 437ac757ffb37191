"""Discovery's figures as tables and aims. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benches.discovery.measure import DESTINATIONS, SCAN_ROUNDS, STREAMS
from benches.discovery.objects import ENDPOINT_COUNT, SERVICE_COUNT
from benches.report import Aim, Report, Table, figure
from benches.statistics import percentile

if TYPE_CHECKING:
    from benches.discovery.measure import Figures, Rollout

LAST_ACKNOWLEDGED_SECONDS = 1.0
SETTLED_SECONDS = 30.0
SCAN_FACTOR = 2.0
MIB = 2**20

NOTES = f"""\
One discovery process on one core; {SERVICE_COUNT:,} Services with {ENDPOINT_COUNT} endpoints each in a real API server
(without nodes: pods are objects with addresses); {STREAMS:,} proxies on another core, each a mutual TLS 1.3 connection
with {DESTINATIONS} destinations: one that all follow, the others by lot. The API server and etcd have what that core
leaves.
Rollout: each of a Service's {ENDPOINT_COUNT} pods replaced by another, two writes of its EndpointSlice each. A time is
from just before the write to the moment at which the last follower had sent its acknowledgement (real proxies gather
those for 0.1 s). Everybody at once: from the first packet to the last of all answers, nobody spreads its attempt.
Scan: 60,000 addresses of nobody, asked for by one pod as fast as it is answered, while a pod of another namespace asks
for one Service after the other (medians of {SCAN_ROUNDS} interleaved runs; the process without real-time priority).
"""


def summarise(found: Figures) -> Report:
    """The worst of every write is held to its aim, not only the 99th percentile of them."""
    scan_factor = found.probe_under_scan["p99"] / found.probe["p99"]
    return Report(
        name="discovery",
        tables=[_rollouts(found), _crowds(found), _questions(found)],
        aims=[
            _aim("slice written to last acknowledgement, 99th percentile", found.usual),
            _aim(f"the same with {found.common.followers:,} followers", found.common),
            Aim(f"{STREAMS:,} proxies reconnecting at once", SETTLED_SECONDS, found.reconnected, "s"),
            Aim("the same with the process restarted before", SETTLED_SECONDS, found.restarted, "s"),
            Aim("p99 of another namespace's question under a scan, without = 1", SCAN_FACTOR, scan_factor, "times"),
        ],
        notes=NOTES,
        raw=asdict(found),
    )


def _aim(what: str, rollout: Rollout) -> Aim:
    return Aim(what, LAST_ACKNOWLEDGED_SECONDS, percentile(rollout.last, 99), "s")


def _rollouts(found: Figures) -> Table:
    columns = ["followers", "last of a write, median ms", "p99 ms", "each, p50 ms", "p99 ms", "CPU s"]
    return Table(
        f"Rolling deployment, {len(found.usual.last)} writes", columns, [_row(found.usual), _row(found.common)]
    )


def _row(rollout: Rollout) -> list[str]:
    times = [(rollout.last, 50), (rollout.last, 99), (rollout.each, 50), (rollout.each, 99)]
    told = [figure(percentile(values, percent) * 1000) for values, percent in times]
    return [f"{rollout.followers:,}", *told, figure(rollout.server_cpu_seconds)]


def _crowds(found: Figures) -> Table:
    rows = [
        ["started, everything read", figure(found.synced), "-", _mib(found.memory_synced)],
        ["all connect at once", figure(found.settled), figure(found.settled_cpu), _mib(found.memory_settled)],
        ["all reconnect", figure(found.reconnected), figure(found.reconnected_cpu), _mib(found.memory_reconnected)],
        ["restarted, all reconnect", figure(found.restarted), "-", "-"],
        ["a second of nothing", "1", figure(found.idle_cpu_share), "-"],
    ]
    title = f"{STREAMS:,} streams, {STREAMS * DESTINATIONS:,} subscriptions"
    return Table(title, ["", "s", "CPU s", "memory MiB"], rows)


def _mib(size: int) -> str:
    return figure(size / MIB)


def _questions(found: Figures) -> Table:
    rows = [("alone", found.probe), ("beside a scan", found.probe_under_scan)]
    cells = [[name, figure(took["p50"] * 1000), figure(took["p99"] * 1000)] for name, took in rows]
    return Table("One question, answered", ["", "p50 ms", "p99 ms"], cells)
