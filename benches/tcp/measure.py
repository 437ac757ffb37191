"""Every kind of traffic over every link, interleaved."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benches.namespaces import entered
from benches.processes import busy_seconds, cpu_seconds, output_of, running
from benches.progress import say
from benches.statistics import interleaved
from benches.tcp import meshes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benches.tcp.meshes import Link

ROUNDS = 3
IPERF_PORT, ECHO_PORT = 5201, 5202
GIGABYTE = 1e9
CONNECTING_AT_ONCE = 16
ONE_STREAM, MANY_STREAMS, PING, CONNECT = "1 stream", "64 streams", "1-byte ping-pong", "new connections"
STREAMS = {ONE_STREAM: 1, MANY_STREAMS: 64}
TRAFFIC = (ONE_STREAM, MANY_STREAMS, PING, CONNECT)
# Tens of thousands of connections in seconds between two addresses: without these, ports and conntrack entries of ended
# connections run out (net.ipv4 documentation, ip-sysctl; nf_conntrack-sysctl).
_SYSCTLS = ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")
_CONNTRACK_SYSCTLS = ("net.netfilter.nf_conntrack_tcp_timeout_time_wait=1",)


@dataclass(frozen=True, slots=True)
class Case:
    """One traffic over one link."""

    link: str
    traffic: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of a case found.

    `rate` is bits, exchanges or connections a second; `proxy_cpu` and `machine_cpu` are seconds of CPU for a gigabyte
    (10^9 bytes), an exchange or a connection: of both proxies, and of the whole machine.
    """

    rate: float
    proxy_cpu: float
    machine_cpu: float
    p50: float | None = None
    p99: float | None = None


def measure(seconds: float) -> dict[Case, list[Figures]]:
    """`ROUNDS` runs of each case, `seconds` each."""
    with meshes.all_links(*meshes.KINDS) as links, _servers(links):
        cases = [Case(link, traffic) for traffic in TRAFFIC for link in links]
        found: dict[Case, list[Figures]] = {case: [] for case in cases}
        for case in cases:
            _run(links[case.link], case.traffic, max(1.0, seconds / 4))  # unmeasured, to warm up
        for turn, case in interleaved(cases, ROUNDS):
            figures = _run(links[case.link], case.traffic, seconds)
            found[case].append(figures)
            unit, scale = ("Gb/s", 1e9) if case.traffic in STREAMS else ("/s", 1)
            say(f"tcp {turn + 1}/{ROUNDS}: {case.link}, {case.traffic}: {figures.rate / scale:,.1f} {unit}")
        return found


@contextlib.contextmanager
def _servers(links: Mapping[str, Link]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for link in links.values():
            for pod in (link.client, link.server):
                with entered(pod.namespace):
                    output_of(["sysctl", "-qw", *_SYSCTLS, *(_CONNTRACK_SYSCTLS if link.proxies else ())])
            with entered(link.server.namespace):
                address = link.server.address
                iperf = ["iperf3", "--server", "--bind", address, "--port", str(IPERF_PORT)]
                stack.enter_context(running(f"iperf3 server {link.name}", iperf))
                stack.enter_context(echo_server(link))
        yield


@contextlib.contextmanager
def echo_server(link: Link) -> Iterator[None]:
    """The echo server in the server's pod. To be entered from within that namespace."""
    words = _traffic(link, "echo")
    with running(f"echo server {link.name}", words) as child:
        child.wait_until(partial(meshes.listening, ECHO_PORT), 10.0)
        yield


def _traffic(link: Link, kind: str, **options: object) -> list[str]:
    words = [sys.executable, "-m", "benches.tcp.traffic", kind]
    words += ["--address", link.server.address, "--port", str(ECHO_PORT)]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words


def hold(link: Link, count: int) -> list[str]:
    """The command that keeps `count` connections open."""
    return _traffic(link, "hold", count=count)


def _run(link: Link, traffic: str, seconds: float) -> Figures:
    proxies = [proxy.pid for proxy in link.proxies]
    for proxy in link.proxies:
        proxy.check()
    machine, used = busy_seconds(), sum(map(cpu_seconds, proxies))
    with entered(link.client.namespace):
        seen = _drive(link, traffic, seconds)
    machine, used = busy_seconds() - machine, sum(map(cpu_seconds, proxies)) - used
    units = seen["units"]
    return Figures(seen["rate"], used / units, machine / units, seen.get("p50"), seen.get("p99"))


def _drive(link: Link, traffic: str, seconds: float) -> dict[str, float]:
    """Make the traffic: `rate`, `units` done in all (gigabytes, exchanges, connections) and latencies if there are."""
    if traffic in STREAMS:
        return _iperf(link, STREAMS[traffic], seconds)
    if traffic == PING:
        seen = json.loads(output_of(_traffic(link, "ping", seconds=seconds)))
        return {"rate": seen["count"] / seconds, "units": seen["count"], "p50": seen["p50"], "p99": seen["p99"]}
    seen = json.loads(output_of(_traffic(link, "connect", seconds=seconds, count=CONNECTING_AT_ONCE)))
    return {"rate": seen["per_second"], "units": seen["count"]}


def _iperf(link: Link, streams: int, seconds: float) -> dict[str, float]:
    words = ["iperf3", "--client", link.server.address, "--port", str(IPERF_PORT), "--json"]
    words += ["--time", f"{seconds:.0f}", "--parallel", str(streams)]
    received = json.loads(output_of(words))["end"]["sum_received"]
    return {"rate": received["bits_per_second"], "units": received["bytes"] / GIGABYTE}
