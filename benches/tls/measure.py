"""One stream, and new connections, through every kind of pair, interleaved."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benches.namespaces import Pod, entered, pod_pair
from benches.processes import busy_seconds, cpu_seconds, output_of, running
from benches.progress import say
from benches.statistics import interleaved
from benches.tcp.meshes import listening
from benches.tls import certificates
from benches.tls.peers import (
    CERTIFICATES,
    ENVOY,
    FULL,
    HAPROXY,
    HYBRID,
    INJECTOR,
    RESUMED,
    RUSTLS,
    UNMESHED,
    X25519,
    Way,
    linked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.tls.peers import Link

ROUNDS = 3
IPERF_PORT, ECHO_PORT = 5201, 5202
GIGABYTE = 1e9
CONNECTING_AT_ONCE = 16
STREAMS = [Way(kind, IPERF_PORT) for kind in (UNMESHED, INJECTOR, RUSTLS, HAPROXY, ENVOY)]
CONNECTIONS = [
    Way(kind, ECHO_PORT, group, sessions)
    for group in (X25519, HYBRID)
    for sessions in (FULL, RESUMED)
    for kind in (INJECTOR, HAPROXY, ENVOY)
    if (kind, group) != (HAPROXY, HYBRID)
]
"""Debian's HAProxy stands on OpenSSL 3.0, which has no X25519MLKEM768."""

_SYSCTLS = ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run found: bits or connections a second, and the CPU seconds of a gigabyte or a connection.

    `client` and `server` are the proxies', `machine` everything on all cores.
    """

    rate: float
    client: float
    server: float
    machine: float


def measure(seconds: float) -> dict[Way, list[Figures]]:
    """`ROUNDS` runs of each way, `seconds` each."""
    certificates.write(CERTIFICATES)
    with pod_pair("bench-tls", 9) as (client, server), _servers(client, server):
        ways = STREAMS + CONNECTIONS
        found: dict[Way, list[Figures]] = {way: [] for way in ways}
        for turn, way in interleaved(ways, ROUNDS):
            with linked(way, client, server) as link:
                _run(way, link, client, 0.5)  # unmeasured, to warm up; and, where sessions are resumed, to get them
                figures = _run(way, link, client, seconds)
            found[way].append(figures)
            said = f"{figures.rate / 1e9:.2f} Gb/s" if way.port == IPERF_PORT else f"{figures.rate:,.0f} connections/s"
            say(f"tls {turn + 1}/{ROUNDS}: {way.kind}, {way.group}, {way.sessions}: {said}")
        return found


@contextlib.contextmanager
def _servers(client: Pod, server: Pod) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for pod in (client, server):
            with entered(pod.namespace):
                output_of(["sysctl", "-qw", *_SYSCTLS])
        with entered(server.namespace):
            iperf = ["iperf3", "--server", "--bind", server.address, "--port", str(IPERF_PORT)]
            for name, port, words in (
                ("iperf3", IPERF_PORT, iperf),
                ("echo", ECHO_PORT, _traffic("echo", server.address, ECHO_PORT)),
            ):
                child = stack.enter_context(running(f"tls {name} server", words))
                child.wait_until(partial(listening, port), 10.0)
        yield


def _traffic(kind: str, address: str, port: int, **options: object) -> list[str]:
    words = [sys.executable, "-m", "benches.tcp.traffic", kind, "--address", address, "--port", str(port)]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words


def _run(way: Way, link: Link, client: Pod, seconds: float) -> Figures:
    for proxy in link.proxies:
        proxy.check()
    machine, used = busy_seconds(), [cpu_seconds(proxy.pid) for proxy in link.proxies]
    with entered(client.namespace):
        rate, units = (_stream if way.port == IPERF_PORT else _connect)(link, seconds)
    machine = busy_seconds() - machine
    spent = [cpu_seconds(proxy.pid) - before for proxy, before in zip(link.proxies, used, strict=True)] or [0.0, 0.0]
    return Figures(rate, spent[0] / units, spent[1] / units, machine / units)


def _stream(link: Link, seconds: float) -> tuple[float, float]:
    words = [
        "iperf3",
        "--client",
        link.address,
        "--port",
        str(link.port),
        "--json",
        "--time",
        str(max(1, round(seconds))),
    ]
    received = json.loads(output_of(words))["end"]["sum_received"]
    return received["bits_per_second"], received["bytes"] / GIGABYTE


def _connect(link: Link, seconds: float) -> tuple[float, float]:
    words = _traffic("connect", link.address, link.port, seconds=seconds, count=CONNECTING_AT_ONCE)
    seen = json.loads(output_of(words))
    return seen["per_second"], seen["count"]
