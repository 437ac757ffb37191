"""An hour of mixed load while endpoints are killed, added, slow and half open, and both sides' proxies replaced."""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support import customers, pods, processes, proxies
from tests.cluster.support.chaos import Ledger
from tests.cluster.support.mesh import Mesh, rolled_out
from tests.cluster.support.progress import say
from tests.cluster.support.sandbox import Pod, Sandbox

SECONDS: Final = float(os.environ.get("INJECTOR_CHAOS_SECONDS", "3600"))
"""How long it goes on; a shorter time is for whoever changes this test."""

SERVERS: Final = 4
READY_SECONDS: Final = 330.0
"""The kubelet's longest pause before it starts a container again that was killed often is five minutes."""
STOPPED_SECONDS: Final = 15.0
"""Longer than a proxy needs to find out that its peer gives no sign of life (10 s)."""
QUIET_SECONDS: Final = 8.0
"""Between two acts, with load as ever: a failure here has no excuse."""
GROWTH: Final = 3 * 1024 * 1024
"""Bytes by which a proxy that lives all along may be larger at the end than after the first tenth: buffers and tables
that are kept for their largest use. A leak of 1 KiB a request would be 100 times as much."""

LOST: Final = ("EOF", "connection reset", "broken pipe", "injector-error: closed", "injector-error: unreachable")
"""How a request fails whose server or proxy is gone while it is under way."""
LATE: Final = ("injector-error: timeout", "Client.Timeout", "deadline exceeded")
"""How a request fails whose server or proxy gives no sign of life."""
NO_PROXY: Final = (*LOST, "connection refused", "i/o timeout", "server misbehaving")
"""How a request fails in a pod whose own proxy is being killed."""


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """What was done and what failed."""
    kept = Ledger()
    yield kept
    kept.close()


class Stage:
    """The application, its customers, and what may be done to them."""

    def __init__(self, mesh: Mesh, meshed: Sandbox, ledger: Ledger) -> None:
        self.mesh, self.meshed, self.ledger = mesh, meshed, ledger
        self.customers: dict[str, Pod] = {}

    def begin(self) -> None:
        self.meshed.create(pods.service("server"))
        self.meshed.create(pods.lossless("server", replicas=SERVERS))
        self.meshed.wait_pods("server", SERVERS)
        for name in ("witness", "kept", "anew", "h2", "posts"):
            self.open(name)

    def open(self, name: str) -> None:
        """A customer, and whatever fails for it."""
        url = f"http://server:{pods.HTTP}/"
        kinds = {
            "witness": customers.container(url, keep=True, pause="5ms"),
            "kept": customers.container(url, keep=True, clients=4, pause="20ms"),
            "anew": customers.container(url, pause="20ms"),
            "h2": customers.container(url, keep=True, clients=4, pause="20ms", h2c=True),
            "posts": customers.container(url, keep=True, pause="20ms", post=64 * 1024),
        }
        (self.customers[name],) = self.meshed.start(pods.pod(name, pods.spec(kinds[name])))
        self.ledger.follow(self.customers[name])

    def reopened(self, name: str) -> None:
        old = self.customers[name]
        old.delete()
        old.wait_gone()
        self.open(name)

    def victim(self) -> Path:
        """The processes of a server that has been restarted least often."""
        found = self.meshed.pods("server")
        random.shuffle(found)
        restarts: Callable[[Pod], int] = lambda pod: sum(  # noqa: E731
            pod.status_of(name).get("restartCount", 0) for name in (pods.APP, PROXY_CONTAINER)
        )
        return processes.pod_cgroup(self.mesh.cluster, min(found, key=restarts).object)

    def settled(self, count: int = SERVERS) -> None:
        self.meshed.wait_pods("server", count, seconds=READY_SECONDS)

    def stopped(self, words: str, seconds: float) -> None:
        """A process that neither answers nor ends for a while."""
        victim = self.victim()
        assert processes.kill([victim], [words], signal.SIGSTOP) > 0
        try:
            time.sleep(seconds)
        finally:
            processes.kill([victim], [words], signal.SIGCONT)
        self.settled()

    # --- acts: each takes down what it explains

    def servers_added(self) -> None:
        with self.ledger.act("servers added"):
            self.scale(SERVERS + 3)

    def servers_removed(self) -> None:
        with self.ledger.act("servers removed"):
            self.scale(SERVERS)

    def server_killed(self) -> None:
        with self.ledger.act("server killed", *LOST):
            assert processes.kill([self.victim()], ["serve"]) == 1
            self.settled()

    def server_half_open(self) -> None:
        with self.ledger.act("server half open", *LATE, *LOST):
            self.stopped("serve", STOPPED_SECONDS)

    def server_slow(self) -> None:
        """Twenty times it is stopped for a fifth of a second, which costs time and nothing else."""
        with self.ledger.act("server slow"):
            victim = self.victim()
            for number in (signal.SIGSTOP, signal.SIGCONT) * 20:
                processes.kill([victim], ["serve"], number)
                time.sleep(0.2)

    def server_proxy_killed(self) -> None:
        with self.ledger.act("server's proxy killed", *LOST):
            assert processes.kill([self.victim()], [PROXY_CONTAINER]) == 1
            self.settled()

    def server_proxy_half_open(self) -> None:
        with self.ledger.act("server's proxy half open", *LATE, *LOST):
            self.stopped(PROXY_CONTAINER, STOPPED_SECONDS)

    def client_proxy_killed(self) -> None:
        with self.ledger.act("client's proxy killed", *NO_PROXY, *LATE, customers=["kept"]):
            kept = self.customers["kept"]
            proxies.kill(self.mesh.cluster, kept)
            if kept.status_of(PROXY_CONTAINER)["restartCount"] > 1:
                self.reopened("kept")  # the kubelet's pause after a third would be most of the hour

    def servers_upgraded(self) -> None:
        with self.ledger.act("servers' proxies upgraded"):
            self.meshed.kubectl("rollout", "restart", "deployment/server")
            self.mesh.api.wait(
                "Deployment", "server", self.meshed.name, rolled_out, seconds=READY_SECONDS, what="rolled out"
            )

    def client_upgraded(self) -> None:
        """It is asked to end, and a new one begins."""
        with self.ledger.act("client's proxy upgraded"):
            self.reopened("anew")

    def scale(self, count: int) -> None:
        self.mesh.api.patch("Deployment", "server", {"spec": {"replicas": count}}, self.meshed.name)
        self.settled(count)

    def witness_bytes(self) -> int:
        """Resident memory of a proxy that nothing is done to."""
        cgroup = processes.pod_cgroup(self.mesh.cluster, self.customers["witness"].object)
        (pid,) = processes.running(cgroup, [PROXY_CONTAINER])
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 900, func_only=True)
def test_whatever_is_done_explains_whatever_fails(mesh: Mesh, meshed: Sandbox, ledger: Ledger) -> None:
    stage = Stage(mesh, meshed, ledger)
    stage.begin()
    acts = itertools.cycle(
        (
            stage.servers_added,
            stage.server_slow,
            stage.server_killed,
            stage.servers_removed,
            stage.server_half_open,
            stage.server_proxy_killed,
            stage.client_upgraded,
            stage.server_proxy_half_open,
            stage.client_proxy_killed,
            stage.servers_upgraded,
        )
    )
    begun = time.monotonic()
    sizes: list[int] = []
    while (passed := time.monotonic() - begun) < SECONDS:
        act = next(acts)
        act()
        time.sleep(QUIET_SECONDS)
        sizes.append(stage.witness_bytes())
        say(f"  {passed:6.0f} s  {act.__name__}: {len(ledger.faults)} failed in all, witness {sizes[-1] >> 10} KiB")
    for name, customer in stage.customers.items():
        customers.wait_more(customer, 20)
        say(f"  {name}: {customers.tally(customer)}")
    ledger.close()
    for line in ledger.summary():
        say(f"  {line}")
    assert ledger.unexplained() == []
    assert sizes[-1] <= sizes[len(sizes) // 10] + GROWTH, sizes
