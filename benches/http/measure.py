"""Every row over every link, interleaved; and memory before, during and after load."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benches.http import clients
from benches.http.links import check_encrypted, linked
from benches.http.pods import InCluster
from benches.http.rows import BY_NAME, INJECTOR, MEMORY, UNMESHED, Case, Figures, Row
from benches.http.servers import write_files
from benches.namespaces import entered
from benches.processes import Memory, busy_seconds, cpu_seconds, memory, output_of, running
from benches.progress import say
from benches.statistics import interleaved
from benches.tls import certificates
from benches.tls.peers import CERTIFICATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benches.http.links import Link
    from benches.http.rows import Selection

ROUNDS = 3
WARM_UP_SECONDS = 0.5
MEMORY_ROW = BY_NAME["closed-256"]
"""The load under which memory is looked at."""


@dataclass(frozen=True, slots=True)
class States:
    """One proxy's memory: before any request, under load, and a while after."""

    idle: Memory
    loaded: Memory
    after: Memory


@dataclass(frozen=True, slots=True)
class Found:
    """Everything: runs of each case, and by link the client's proxy's memory, then the server's."""

    runs: dict[Case, list[Figures]]
    memory: dict[str, list[States]] = field(default_factory=dict)


def measure(seconds: float, settle: float, selection: Selection) -> Found:
    """`ROUNDS` runs of each case, `seconds` each; memory is looked at `settle` after load."""
    write_files()
    certificates.write(CERTIFICATES)
    cases = [Case(link, row) for row in selection.rows if row != MEMORY for link in selection.links]
    found = Found({case: [] for case in cases})
    with linked(selection.links, surroundings=InCluster() if selection.cluster else None) as links:
        if MEMORY in selection.rows:
            found.memory.update(_memories(links, seconds, settle))
        for turn, case in interleaved(cases, ROUNDS) if cases else ():
            link, row = links[case.link], BY_NAME[case.row]
            _run(link, row, WARM_UP_SECONDS)
            figures = _run(link, row, seconds)
            found.runs[case].append(figures)
            say(f"http {turn + 1}/{ROUNDS}: {case.row}, {case.link}: {_said(figures)}")
        if INJECTOR in links:
            check_encrypted(links[INJECTOR])
    return found


def _said(figures: Figures) -> str:
    said = f"{figures.rate:,.0f}/s, proxies {(figures.client + figures.server) * 1e6:.1f} µs"
    if figures.p50 is not None and figures.p99 is not None:
        said += f", p50 {figures.p50 * 1e6:,.0f} µs, p99 {figures.p99 * 1e6:,.0f} µs"
    return said


def _run(link: Link, row: Row, seconds: float) -> Figures:
    for proxy in link.proxies:
        proxy.check()
    machine, used = busy_seconds(), [cpu_seconds(proxy.pid) for proxy in link.proxies]
    with entered(link.client.namespace):
        seen = clients.read(row, output_of(clients.command(row, *link.targets[row.port], seconds)))
    machine = busy_seconds() - machine
    spent = [cpu_seconds(proxy.pid) - before for proxy, before in zip(link.proxies, used, strict=True)] or [0.0, 0.0]
    took = seen.count / seen.rate
    return Figures(
        rate=seen.rate,
        bits=seen.bytes * 8 / took,
        client=spent[0] / seen.count,
        server=spent[1] / seen.count,
        machine=machine / seen.count,
        p50=seen.p50,
        p99=seen.p99,
    )


def _memories(links: Mapping[str, Link], seconds: float, settle: float) -> dict[str, list[States]]:
    """Nothing has been asked of these proxies yet."""
    proxied = {name: link for name, link in links.items() if name != UNMESHED}
    idle = {name: _look(link) for name, link in proxied.items()}
    loaded = {}
    for name, link in proxied.items():
        command = clients.command(MEMORY_ROW, *link.targets[MEMORY_ROW.port], 2 * seconds)
        with entered(link.client.namespace), running(f"memory load {name}", command) as load:
            time.sleep(seconds)
            load.check()
            loaded[name] = _look(link)
            load.process.wait()
        say(f"http memory: {name}: idle {_mib(idle[name])} MiB, under load {_mib(loaded[name])} MiB")
    time.sleep(settle)
    return {
        name: [States(*each) for each in zip(idle[name], loaded[name], _look(link), strict=True)]
        for name, link in proxied.items()
    }


def _look(link: Link) -> list[Memory]:
    return [memory(proxy.pid) for proxy in link.proxies]


def _mib(states: Sequence[Memory]) -> str:
    return f"{statistics.fmean(each.rss for each in states) / 2**20:.1f}"
