"""From raw figures to tables and aims."""

import pytest

from benches.discovery import summary as discovery_summary
from benches.discovery.measure import Figures as DiscoveryFigures
from benches.discovery.measure import Rollout
from benches.memory import summary as memory_summary
from benches.memory.measure import Figures as MemoryFigures
from benches.processes import Memory
from benches.tcp import summary as tcp_summary
from benches.tcp.measure import CONNECT, PING, STREAMS, TRAFFIC
from benches.tcp.measure import Case as TcpCase
from benches.tcp.measure import Figures as TcpFigures
from benches.tcp.meshes import HAPROXY, INJECTOR, KINDS, UNMESHED
from benches.webhook import summary as webhook_summary
from benches.webhook.measure import CLIENTS, PORTS, SIZES, WEBHOOK
from benches.webhook.measure import Case as WebhookCase
from benches.webhook.measure import Figures as WebhookFigures

MIB = 2**20


def _memory(*mib: float) -> MemoryFigures:
    return MemoryFigures(*(Memory(rss=int(each * MIB), pss=int(each * MIB / 2)) for each in mib))


def test_memory_growth_is_each_proxy_s_own() -> None:
    runs = [_memory(3, 9, 3.5, 3.5), _memory(3.5, 12, 4, 4.5), _memory(2, 9.5, 2.5, 3)]
    report = memory_summary.summarise({INJECTOR: runs, HAPROXY: runs})
    assert [(aim.measured, aim.met) for aim in report.aims] == [(3, True), (7.5, True), (0.5, False)]
    assert report.tables[0].rows[0] == [INJECTOR, "3", "1.5", "9.5", "7.5", "3.5", "3.5"]


def test_tcp_tables_have_a_row_a_link() -> None:
    found = {}
    for number, link in enumerate(KINDS, start=1):
        for traffic in TRAFFIC:
            stream = traffic in STREAMS
            rate, cpu = (number * 1e9, 0.5) if stream else (number * 1000.0, 5e-6)
            latency = 2e-5 if traffic == PING else None
            found[TcpCase(link, traffic)] = [TcpFigures(rate, cpu, 2 * cpu, latency, latency)] * 3
    throughput, latency_table = tcp_summary.summarise(found).tables
    assert throughput.rows[0] == [UNMESHED, "1", "0.5", "1", "1", "0.5", "1"]
    assert latency_table.rows[1] == [INJECTOR, "20", "20", "5", "2,000", "5"]
    assert CONNECT in TRAFFIC


def _webhook(milliseconds: float, p99: float) -> WebhookFigures:
    return WebhookFigures(1000.0, milliseconds / 1000, 0.001, p99 / 1000, 0.2)


def test_webhook_aims_are_of_the_small_pod_at_most_clients() -> None:
    cost = {size: 0.2 + size / 2**20 * 4 for size in SIZES}
    found = {
        WebhookCase(server, size, clients): [_webhook(cost[size] * (1 if server == WEBHOOK else 0.5), 3 * clients)] * 3
        for server in PORTS
        for size in SIZES
        for clients in CLIENTS
    }
    report = webhook_summary.summarise(found)
    cpu, p99, linear = report.aims
    assert cpu.measured == pytest.approx(0.2156, abs=1e-3)
    assert cpu.met
    assert p99.measured == pytest.approx(24)
    assert not p99.met
    assert linear.measured == pytest.approx(0, abs=1e-6)
    assert "0.20 ms + 3.9 µs per KiB" in linear.what
    assert report.tables[0].rows[0][-1] == "2"  # half as much CPU in the bare route


def test_discovery_is_held_to_the_slowest_of_its_writes() -> None:
    found = DiscoveryFigures(
        synced=3.0, memory_synced=120 * MIB, settled=6.0, settled_cpu=5.8, memory_settled=340 * MIB
    )
    found.usual = Rollout(31, last=[0.006] * 19 + [0.5], each=[0.005] * 100, server_cpu_seconds=0.1)
    found.common = Rollout(2000, last=[0.1] * 19 + [1.2], each=[0.09] * 100, server_cpu_seconds=4.6)
    found.reconnected, found.restarted = 4.4, 31.0
    found.probe, found.probe_under_scan = {"p50": 0.0002, "p99": 0.0005}, {"p50": 0.0003, "p99": 0.0009}
    report = discovery_summary.summarise(found)
    assert [aim.met for aim in report.aims] == [True, False, True, False, True]
    assert report.tables[0].rows[1] == ["2,000", "100", "1,200", "90", "90", "4.6"]
    assert report.tables[1].rows[0] == ["started, everything read", "3", "-", "120"]
    assert report.tables[2].rows[1] == ["beside a scan", "0.3", "0.9"]
