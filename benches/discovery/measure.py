"""Discovery at size, step by step: fill, connect, roll out, reconnect, restart, scan."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benches import cluster
from benches.discovery import objects
from benches.discovery.objects import Objects
from benches.namespaces import entered
from benches.processes import LOGS, OUTPUT, alone_on, cpu_seconds, memory, output_of, running
from benches.progress import BenchError, say
from benches.statistics import median
from injector.kube.client import connect
from tests.discovery.certificates import SERVER_NAME, Root, spiffe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benches.discovery.objects import Backend
    from benches.processes import Child

FILES = OUTPUT / "discovery"
PORT, ADMIN_PORT = 8443, 8080
SERVER_CORE, LOAD_CORE = 0, 1
STREAMS, DESTINATIONS = 2000, 20
IDLE_SECONDS = 5.0
# As a Deployment's rollout goes at its quickest: a pod is ready half a second after the one before.
BETWEEN_WRITES_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
SCAN_ROUNDS = 3


@dataclass(slots=True)
class Rollout:
    """Seconds from each write of the slice to the last acknowledgement, and to every one of them."""

    followers: int = 0
    last: list[float] = field(default_factory=list)
    each: list[float] = field(default_factory=list)
    server_cpu_seconds: float = 0.0


@dataclass(slots=True)
class Figures:
    """Seconds, bytes; CPU is the server's. `settled` counts from the first connection's first packet to the last of all
    answers; `restarted` from the old process's end."""

    synced: float = 0.0
    memory_synced: int = 0
    settled: float = 0.0
    settled_cpu: float = 0.0
    memory_settled: int = 0
    idle_cpu_share: float = 0.0
    usual: Rollout = field(default_factory=Rollout)
    common: Rollout = field(default_factory=Rollout)
    reconnected: float = 0.0
    reconnected_cpu: float = 0.0
    memory_reconnected: int = 0
    restarted: float = 0.0
    probe: dict[str, float] = field(default_factory=dict)
    probe_under_scan: dict[str, float] = field(default_factory=dict)


def measure(*, quick: bool) -> Figures:
    """All of it, once; `quick` rolls over three pods of each Service in place of ten."""
    found = Figures()
    rolled = 3 if quick else objects.ENDPOINT_COUNT
    _write_certificates()
    with cluster.api_only() as layout, entered(cluster.network(layout)):
        say(f"making {objects.SERVICE_COUNT:,} Services with {objects.ENDPOINT_COUNT} endpoints each")
        backends = asyncio.run(_fill(layout.kubeconfig))
        followers = _write_plan(backends)
        with _load() as load:
            with _server(layout.kubeconfig) as server:
                found.synced, found.memory_synced = _ready(server), memory(server.pid).rss
                _connect(found, server, load)
                _idle(found, server)
                _roll_out(found.usual, layout.kubeconfig, backends[1], rolled, followers[1], server, load)
                _roll_out(found.common, layout.kubeconfig, backends[0], rolled, followers[0], server, load)
                _reconnect(found, server, load)
            _restart(found, layout.kubeconfig, load)
        with _server(layout.kubeconfig, real_time=False) as server:
            _ready(server)
            _scan(found)
    return found


class Program:
    """A child that is told lines and answers with lines of JSON."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._answers = iter(process.stdout or ())
        self._log = log

    def ask(self, command: str) -> Any:
        """One line there, one back."""
        print(command, file=self._process.stdin, flush=True)
        answer = next(self._answers, "")
        if not answer:
            raise BenchError(f"the load ended while asked to {command}: {self._log.read_text()[-1500:].strip()}")
        return json.loads(answer)


@contextlib.contextmanager
def _load() -> Iterator[Program]:
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "discovery-load.log"
    words = [sys.executable, "-m", "benches.discovery.load", "--port", str(PORT), "--plan", str(FILES / "plan.json")]
    words += ["--certificates", str(FILES)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*alone_on(LOAD_CORE), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield Program(process, log)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _server(kubeconfig: Path, *, real_time: bool = True) -> Iterator[Child]:
    words = [sys.executable, "-m", "benches.discovery.server", "--kubeconfig", str(kubeconfig)]
    words += ["--certificates", str(FILES), "--port", str(PORT), "--admin-port", str(ADMIN_PORT)]
    with running("discovery", words, core=SERVER_CORE, real_time=real_time) as server:
        yield server


def _ready(server: Child) -> float:
    began = time.monotonic()
    server.wait_until(lambda: _is_up(f"http://127.0.0.1:{ADMIN_PORT}/readyz"), PATIENCE_SECONDS)
    took = time.monotonic() - began
    say(f"ready after {took:.1f} s")
    return took


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - a constant address of this machine
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _connect(found: Figures, server: Child, load: Program) -> None:
    before = cpu_seconds(server.pid)
    answer = load.ask("connect")
    found.settled, found.settled_cpu = answer["settled_seconds"], cpu_seconds(server.pid) - before
    found.memory_settled = memory(server.pid).rss
    say(f"{STREAMS:,} streams: {answer}, server CPU {found.settled_cpu:.1f} s, {found.memory_settled / 2**20:.0f} MiB")


def _idle(found: Figures, server: Child) -> None:
    time.sleep(1)
    before = cpu_seconds(server.pid)
    time.sleep(IDLE_SECONDS)
    found.idle_cpu_share = (cpu_seconds(server.pid) - before) / IDLE_SECONDS


def _roll_out(
    found: Rollout, kubeconfig: Path, backend: Backend, pods: int, followers: int, server: Child, load: Program
) -> None:
    found.followers = followers
    before = cpu_seconds(server.pid)
    asyncio.run(_replace_pods(found, kubeconfig, backend, pods, load))
    found.server_cpu_seconds = cpu_seconds(server.pid) - before
    say(f"{backend.name}: {followers} followers, worst {max(found.last):.3f} s, CPU {found.server_cpu_seconds:.1f} s")


async def _replace_pods(found: Rollout, kubeconfig: Path, backend: Backend, pods: int, load: Program) -> None:
    """Each pod is replaced by another, one after the other: a write with the new one, a write without the old one."""
    async with connect(kubeconfig=kubeconfig) as kube:
        made = Objects(kube)
        made.skip_addresses(2**15 if backend.name.endswith("-0") else 2**14)
        for old in list(backend.addresses)[:pods]:
            new = f"{old}-next"
            await made.roll(backend, new)
            await _write(made, backend, backend.addresses[new], found, load)
            await _write(made, backend, backend.addresses.pop(old), found, load)


async def _write(made: Objects, backend: Backend, marker: str, found: Rollout, load: Program) -> None:
    began = time.monotonic()
    await made.write_slice(backend)
    await asyncio.sleep(BETWEEN_WRITES_SECONDS)
    times: list[float] = []
    while len(times) < found.followers:
        times += load.ask("acknowledged").get(marker, [])
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise BenchError(f"{len(times)} of {found.followers} proxies had acknowledged after {PATIENCE_SECONDS} s")
    found.each += [acknowledged - began for acknowledged in times]
    found.last.append(max(times) - began)


def _reconnect(found: Figures, server: Child, load: Program) -> None:
    load.ask("disconnect")
    before = cpu_seconds(server.pid)
    answer = load.ask("connect")
    found.reconnected, found.reconnected_cpu = answer["settled_seconds"], cpu_seconds(server.pid) - before
    found.memory_reconnected = memory(server.pid).rss
    say(f"all reconnected: {answer}")


def _restart(found: Figures, kubeconfig: Path, load: Program) -> None:
    load.ask("disconnect")
    began = time.monotonic()
    with _server(kubeconfig) as server:
        _ready(server)
        load.ask("connect")
        found.restarted = time.monotonic() - began
    say(f"restarted, listed and all reconnected in {found.restarted:.1f} s")


def _scan(found: Figures) -> None:
    words = [sys.executable, "-m", "benches.discovery.scan", "--port", str(PORT), "--certificates", str(FILES)]
    probing = [*words, "probe", "--namespace", "shop-1", "--services", str(FILES / "services.json")]
    alone, beside = [], []
    for _ in range(SCAN_ROUNDS):
        alone.append(json.loads(output_of(probing, core=LOAD_CORE)))
        with running("discovery-scan", [*words, "scan", "--namespace", "shop-2"]) as scanner:
            time.sleep(1)
            beside.append(json.loads(output_of(probing, core=LOAD_CORE)))
            scanner.check()
    found.probe, found.probe_under_scan = _medians(alone), _medians(beside)
    say(f"one question: {found.probe}; under a scan: {found.probe_under_scan}")


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median([run[name] for run in runs]) for name in runs[0]}


async def _fill(kubeconfig: Path) -> list[Backend]:
    async with connect(kubeconfig=kubeconfig) as kube:
        made = Objects(kube)
        await made.create()
        return made.backends


def _write_certificates() -> None:
    FILES.mkdir(parents=True, exist_ok=True)
    root = Root()
    server = root.leaf([spiffe("injector-system", "injector-discovery")], [SERVER_NAME])
    files = {"roots.pem": root.pem, "chain.pem": server.certificate, "key.pem": server.key}
    for index in range(objects.NAMESPACE_COUNT):
        leaf = root.pod(f"shop-{index}", "default")
        files[f"shop-{index}.pem"] = leaf.key + leaf.certificate
    for name, content in files.items():
        (FILES / name).write_bytes(content)


def _write_plan(backends: list[Backend]) -> list[int]:
    """Who follows what: everybody the first Service, as a cluster's pods all follow its DNS, and 19 of the others by
    lot. Returns how many follow each."""
    lot = random.Random(1)  # noqa: S311 - the same plan each time
    followers, plan = [0] * len(backends), []
    for number in range(STREAMS):
        chosen = [0, *lot.sample(range(1, len(backends)), DESTINATIONS - 1)]
        for index in chosen:
            followers[index] += 1
        destinations = [(backends[index].cluster_ip, objects.PORT) for index in chosen]
        namespace = f"shop-{number % objects.NAMESPACE_COUNT}"
        plan.append({"namespace": namespace, "pod": f"proxy-{number}", "destinations": destinations})
    (FILES / "plan.json").write_text(json.dumps(plan))
    addresses = [backend.cluster_ip for backend in backends]
    (FILES / "services.json").write_text(json.dumps({"addresses": addresses, "port": objects.PORT}))
    return followers
