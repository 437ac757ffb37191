"""Every server under every load, interleaved."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benches import cluster
from benches.namespaces import entered
from benches.processes import Child, cpu_seconds, output_of, running
from benches.progress import say
from benches.statistics import interleaved
from benches.webhook import reviews, surroundings
from injector.kube.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.webhook.surroundings import Files

WEBHOOK, BARE, TRIVIAL = "injector webhook", "bare FastAPI route", "trivial server"
PORTS = {WEBHOOK: 8443, BARE: 8444, TRIVIAL: 8445}
ADMIN_PORT = 8080
SERVER_CORE, LOAD_CORE = 0, 1
SIZES = (4 * reviews.KIB, 64 * reviews.KIB, 1024 * reviews.KIB)
CLIENTS = (1, 8)
ROUNDS = 3
# The webhook's process imports FastAPI and kubernetes.aio, and lists; on a busy core that takes seconds.
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """One server under one load."""

    server: str
    pod_bytes: int
    clients: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of a case found. Times in seconds; `client_cpu_share` is the load's use of its core."""

    reviews_per_second: float
    cpu_seconds_per_review: float
    p50: float
    p99: float
    client_cpu_share: float


def measure(seconds: float) -> dict[Case, list[Figures]]:
    """`ROUNDS` runs of each case, `seconds` each."""
    files = surroundings.write_files()
    with cluster.api_only() as layout, entered(cluster.network(layout)):
        owner = asyncio.run(_prepare(layout.kubeconfig, files))
        bodies = {size: surroundings.FILES / f"review-{size}.json" for size in SIZES}
        for size, path in bodies.items():
            path.write_bytes(reviews.review(size, surroundings.NAMESPACE, owner))
        with _servers(layout.kubeconfig, files) as servers:
            cases = [Case(server, size, clients) for server in PORTS for size in SIZES for clients in CLIENTS]
            found: dict[Case, list[Figures]] = {case: [] for case in cases}
            for case in cases:
                _run(case, servers[case.server], bodies[case.pod_bytes], files, seconds / 4)  # unmeasured, to warm up
            for turn, case in interleaved(cases, ROUNDS):
                figures = _run(case, servers[case.server], bodies[case.pod_bytes], files, seconds)
                found[case].append(figures)
                _tell(turn, case, figures)
            return found


async def _prepare(kubeconfig: Path, files: Files) -> reviews.Owner:
    async with connect(kubeconfig=kubeconfig) as kube:
        return await surroundings.prepare(kube, files)


@contextlib.contextmanager
def _servers(kubeconfig: Path, files: Files) -> Iterator[dict[str, Child]]:
    injector = Path(sys.executable).parent / "injector"
    settings = (f"--installation={files.installation}", f"--kubeconfig={kubeconfig}", f"--admin-port={ADMIN_PORT}")
    webhook: list[str | Path] = [injector, "webhook", *settings, f"--port={PORTS[WEBHOOK]}", "--drain-delay-seconds=0"]
    tls = ["--certificate", str(files.certificate), "--key", str(files.key)]
    peer = [sys.executable, "-m", "benches.webhook.peers"]
    commands: dict[str, list[str | Path]] = {
        WEBHOOK: webhook,
        BARE: [*peer, "bare", "--port", str(PORTS[BARE]), *tls],
        TRIVIAL: [*peer, "trivial", "--port", str(PORTS[TRIVIAL]), *tls],
    }
    checks = {
        WEBHOOK: f"http://127.0.0.1:{ADMIN_PORT}/readyz",
        BARE: f"https://127.0.0.1:{PORTS[BARE]}/",
        TRIVIAL: f"https://127.0.0.1:{PORTS[TRIVIAL]}/",
    }
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, command in commands.items():
            servers[name] = stack.enter_context(running(name, command, core=SERVER_CORE))
            servers[name].wait_until(partial(_answers, checks[name]), _START_SECONDS)
        yield servers


def _answers(url: str) -> bool:
    """Whether the webhook says that it is ready, or a peer listens: its certificate being unknown says so too."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - a constant address of this machine
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False
    except urllib.error.URLError as error:
        return url.startswith("https:") and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _run(case: Case, server: Child, body: Path, files: Files, seconds: float) -> Figures:
    command = [sys.executable, "-m", "benches.webhook.load", "--port", str(PORTS[case.server])]
    command += ["--path", "/mutate/pods", "--body", str(body), "--ca", str(files.ca)]
    command += ["--expect", '"patchType"' if case.server == WEBHOOK else '"allowed":true']
    command += ["--clients", str(case.clients), "--seconds", str(seconds)]
    server.check()
    before = cpu_seconds(server.pid)
    seen = json.loads(output_of(command, core=LOAD_CORE))
    used = cpu_seconds(server.pid) - before
    return Figures(
        reviews_per_second=seen["reviews"] / seen["seconds"],
        cpu_seconds_per_review=used / seen["reviews"],
        p50=seen["p50"],
        p99=seen["p99"],
        client_cpu_share=seen["client_cpu_share"],
    )


def _tell(turn: int, case: Case, figures: Figures) -> None:
    say(
        f"webhook {turn + 1}/{ROUNDS}: {case.server}, {case.pod_bytes // reviews.KIB} KB, {case.clients} clients: "
        f"{figures.reviews_per_second:,.0f}/s, {figures.cpu_seconds_per_review * 1000:.3f} ms CPU each"
    )
