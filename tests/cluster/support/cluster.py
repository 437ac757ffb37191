"""The Kubernetes that the tests run on: the one of INJECTOR_TEST_KUBECONFIG, or one started from this checkout."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.kubernetes.layout import FIRST, Layout
from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support.api import Api
from tests.cluster.support.progress import run_visibly, step
from tests.cluster.support.waiting import eventually

KUBECONFIG_VARIABLE: Final = "INJECTOR_TEST_KUBECONFIG"
CHECKOUT: Final = Path(__file__).resolve().parents[3]
NODES: Final = 2

COMMAND_SECONDS: Final = 60.0
"""For one kubectl command; whoever waits for longer says so."""


@dataclass(frozen=True)
class Cluster:
    """How to reach a cluster. `inside` stands before each command that must run in the cluster's own network."""

    kubeconfig: Path
    kubectl_program: str
    inside: tuple[str, ...] = ()
    ours: Layout | None = None

    def command(self, *words: str) -> list[str]:
        """A command line that sees the cluster, for `subprocess`; give it `environment`."""
        return [*self.inside, *words]

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find the cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def run(
        self, *words: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that sees the cluster, whatever its exit code."""
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a program that sees the cluster; the caller reads its output and waits for it."""
        return subprocess.Popen(
            self.command(*words), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> str:
        """kubectl's standard output; a non-zero exit is a Failure with its words, so is an end that does not come."""
        try:
            done = self.run(self.kubectl_program, *words, stdin=stdin, seconds=seconds)
        except subprocess.TimeoutExpired as late:
            said = b"".join(part for part in (late.stderr, late.stdout) if part).decode(errors="replace")
            raise Failure(f"kubectl {' '.join(words)} did not end in {seconds:g} s; it said:\n{said}") from late
        if done.returncode != 0:
            raise Failure(f"kubectl {' '.join(words)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        return done.stdout

    @contextmanager
    def api(self) -> Iterator[Api]:
        """A client of the API server, by way of `kubectl proxy` on a socket that only we can open."""
        with tempfile.TemporaryDirectory(prefix="injector-test-") as folder:
            socket = Path(folder) / "api.sock"
            proxy = subprocess.Popen(
                self.command(self.kubectl_program, "proxy", f"--unix-socket={socket}"),
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            try:
                eventually(
                    lambda: socket.exists() or proxy.poll() is not None, bool, seconds=20, what="kubectl proxy listens"
                )
                if proxy.poll() is not None:
                    raise Failure(f"kubectl proxy ended at once: {proxy.communicate()[1].decode(errors='replace')}")
                with Api(socket) as api:
                    yield api
            finally:
                proxy.terminate()
                proxy.communicate(timeout=10)


def find_or_start() -> Cluster:
    """The given cluster, else ours: started by `scripts/cluster`, which leaves alone what runs already."""
    given = os.environ.get(KUBECONFIG_VARIABLE)
    return _given(Path(given)) if given else _started()


def _given(kubeconfig: Path) -> Cluster:
    if not kubeconfig.is_file():
        raise Failure(f"{KUBECONFIG_VARIABLE} names {kubeconfig}, which is not a file")
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise Failure(f"{KUBECONFIG_VARIABLE} is set, and kubectl is not on PATH")
    return Cluster(kubeconfig.absolute(), kubectl)


def _started() -> Cluster:
    with step(f"scripts/cluster up --nodes {NODES}"):
        run_visibly(CHECKOUT / "scripts" / "cluster", "up", "--nodes", str(NODES))
    layout = Layout.from_environment()
    inside = ("nsenter", f"--net=/run/netns/{layout.namespace(FIRST)}")
    return Cluster(layout.kubeconfig, str(layout.binaries / "kubectl"), inside, layout)
