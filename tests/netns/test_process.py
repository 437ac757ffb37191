"""The sidecar as a process: start, logs, memory, and what it does without descriptors."""

import json
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.netns.pods import Pod, exchange, rules

pytestmark = pytest.mark.netns

IDLE_KIB = 6 * 1024
"""The aim: resident memory of a proxy that carries nothing, its program's pages included: measured 5.4 MiB, of which
0.6 MiB are its own. Cryptography and HTTP/2 made the program's part 2 MiB more than it was."""

C_LIBRARY_KIB = 2048
"""What a build that is not linked statically, as the image's is, loads beside itself, and writes to of its own:
measured 1.6 MiB."""

THOUSAND_KIB = 8 * 1024
"""The aim: what a thousand connections that wait may add."""


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_it_logs_when_it_is_ready(client: Pod, server: Pod) -> None:
    with server.proxy(INJECTOR_LOG_FORMAT="json", INJECTOR_WORKERS="2") as proxy:
        proxy.signal(signal.SIGTERM)
        assert proxy.process.stdout
        ready, *_, last = [json.loads(line) for line in proxy.process.stdout]
    assert (ready["message"], ready["level"], ready["workers"]) == ("ready", "INFO", 2)
    assert float(ready["milliseconds"]) < 1000
    assert last["message"] == "every connection has ended"


def test_it_takes_little_memory(client: Pod, server: Pod) -> None:
    assert server.init(rules()).returncode == 0
    with ExitStack() as stack:
        proxy = stack.enter_context(server.proxy())
        stack.enter_context(server.echo(port=8080))
        idle = resident_kib(proxy.process.pid)
        dynamic = b"/ld-linux" in server.binary.read_bytes()[:4096]  # the interpreter that the ELF header names
        assert idle <= IDLE_KIB + dynamic * C_LIBRARY_KIB
        for _ in range(1000):
            stream = stack.enter_context(client.connect(server.v4, 8080))
            stream.sendall(b"hello")
            assert stream.recv(5) == b"hello"
        assert proxy.metric("tcp_open_connections", direction="inbound") == 1000
        assert resident_kib(proxy.process.pid) - idle < THOUSAND_KIB


def test_a_flood_leaves_the_admin_port_its_descriptors(client: Pod, server: Pod) -> None:
    """With 200 descriptors it carries 75 connections: (200 - 200 / 4) / 2. The others wait, and probes get through."""
    assert server.init(rules()).returncode == 0
    with server.proxy("prlimit", "--nofile=200:200") as proxy, server.echo(port=8080):
        with ExitStack() as stack:
            streams = [stack.enter_context(client.connect(server.v4, 8080)) for _ in range(120)]
            streams[0].sendall(b"served")
            assert streams[0].recv(100) == b"served"
            before = cpu_seconds(proxy.process.pid)
            time.sleep(1)
            assert cpu_seconds(proxy.process.pid) - before < 0.3, "it spins"
            assert proxy.metric("tcp_open_connections", direction="inbound") == 75
            assert proxy.get("/live") == "live\n"
        with client.connect(server.v4, 8080) as stream:
            assert exchange(stream, b"well again") == b"well again"
        assert proxy.metric("tcp_accept_errors_total") == 0
        assert proxy.metric("tcp_connect_failures_total", reason="resources") == 0


def test_a_taken_port_is_named(client: Pod) -> None:
    client.execute("ip", "address", "add", "10.77.0.1/32", "dev", "lo")
    with client.proxy():
        second = client.execute("env", *environment(client), str(client.binary), "run", check=False)
    assert second.returncode == 69
    assert second.stderr.startswith("injector-proxy: cannot listen at [::]:4143: Address already in use")
    assert second.stderr.count("\n") == 1


def environment(pod: Pod) -> list[str]:
    names = ("POD_NAME", "POD_NAMESPACE", "POD_UID", "NODE_NAME", "SERVICE_ACCOUNT", "WORKLOAD_KIND", "WORKLOAD_NAME")
    volumes = (f"{name}={path}" for name, path in pod.volumes.environment.items())
    return [*(f"INJECTOR_{name}=x" for name in names), "INJECTOR_POD_IPS=10.77.0.1", *volumes]


def test_it_is_not_dumpable(client: Pod) -> None:
    client.execute("ip", "address", "add", "10.77.0.1/32", "dev", "lo")
    with client.proxy() as proxy:
        owner = Path(f"/proc/{proxy.process.pid}/environ").stat().st_uid
        assert owner == 0, "another process of its user may not read it"
