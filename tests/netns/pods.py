"""Pods without a Kubernetes: network namespaces joined by a cable, with the real init container and sidecar."""

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from injector.inject import redirect, settings
from tests.netns.volumes import NAMESPACE, Volumes

PROXY_UID: Final = 2102
START_SECONDS: Final = 10.0
CLONE_NEWNET: Final = 0x40000000

P = ParamSpec("P")
R = TypeVar("R")


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60)


def rules(**annotations: str) -> dict[str, str]:
    """The environment of the init container for these annotations (`skip_inbound_ports="80"`)."""
    named = {f"injector.mesh/{key.replace('_', '-')}": value for key, value in annotations.items()}
    resolved = settings.resolve(named, {}, {})
    assert not resolved.faults, resolved.faults
    return {
        "INJECTOR_IPTABLES_RULES": redirect.rules(resolved.settings, "v4", proxy_uid=PROXY_UID),
        "INJECTOR_IP6TABLES_RULES": redirect.rules(resolved.settings, "v6", proxy_uid=PROXY_UID),
    }


@dataclass
class Pod:
    """A network namespace with an interface `eth0`, a v4 and a v6 address, and whatever runs in it."""

    name: str
    binary: Path
    v4: str
    v6: str
    volumes: Volumes = field(init=False)
    _inside: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.volumes = Volumes(PROXY_UID)
        run("ip", "netns", "add", self.name)
        self.execute("ip", "link", "set", "lo", "up")
        self._inside = ThreadPoolExecutor(max_workers=1, initializer=self._enter)

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open() as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter the namespace {self.name}")

    def remove(self) -> None:
        self._inside.shutdown()
        self.volumes.remove()
        run("ip", "netns", "del", self.name, check=False)

    def inside(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls `function` on a thread in the pod's namespace: sockets it makes are the pod's, wherever used."""
        return self._inside.submit(function, *args, **kwargs).result(timeout=60)

    def execute(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.name, *command, check=check)

    def init(
        self, environment: Mapping[str, str], *, path: str = os.environ["PATH"], prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Runs `injector-proxy init` with nothing else in its environment."""
        command = ("ip", "netns", "exec", self.name, "/usr/bin/env", "-i", f"PATH={path}")
        values = tuple(f"{name}={value}" for name, value in environment.items())
        return run(*command, *values, *prefix, str(self.binary), "init", check=False)

    @contextmanager
    def proxy(self, *prefix: str, **environment: str) -> Iterator["Proxy"]:
        """Runs the sidecar as its own user until the block ends; then SIGTERM must end it. A prefix is a command that
        runs it, such as prlimit."""
        values = {
            "INJECTOR_POD_NAME": self.name,
            "INJECTOR_POD_NAMESPACE": NAMESPACE,
            "INJECTOR_POD_UID": "1",
            "INJECTOR_NODE_NAME": "node-1",
            "INJECTOR_SERVICE_ACCOUNT": "default",
            "INJECTOR_POD_IPS": f"{self.v4},{self.v6}",
            "INJECTOR_WORKLOAD_KIND": "Deployment",
            "INJECTOR_WORKLOAD_NAME": self.name,
            "INJECTOR_SHUTDOWN_GRACE_SECONDS": "1",
            **self.volumes.environment,
            **environment,
        }
        command = ["ip", "netns", "exec", self.name, *prefix, "setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}"]
        command += ["--clear-groups", "--bounding-set=-all", "--no-new-privs", str(self.binary), "run"]
        with subprocess.Popen(command, env=values, stdout=subprocess.PIPE, text=True) as process:
            try:
                proxy = Proxy(self, process)
                proxy.wait_ready()
                yield proxy
            finally:
                process.terminate()
                assert process.wait(timeout=START_SECONDS) == 0

    @contextmanager
    def echo(self, *addresses: str, port: int) -> Iterator[list[str]]:
        """An application that returns what it gets; the list has each client's address as it saw it."""
        with Echo(self, addresses or (self.v4, self.v6), port) as clients:
            yield clients

    def connect(self, address: str, port: int, *, timeout: float = 5.0) -> socket.socket:
        return self.inside(socket.create_connection, (address, port), timeout)


@dataclass
class Proxy:
    """A running sidecar."""

    pod: Pod
    process: "subprocess.Popen[str]"

    def get(self, path: str) -> str:
        def fetch() -> str:
            with urllib.request.urlopen(f"http://{self.pod.v4}:4191{path}", timeout=5) as response:
                return str(response.read().decode())

        return self.pod.inside(fetch)

    def wait_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                assert self.get("/ready") == "ready\n"
            except OSError:
                assert self.process.poll() is None, "the proxy ended while starting"
                assert time.monotonic() < until, "the proxy does not get ready"
                time.sleep(0.01)
            else:
                return

    def wait_draining(self) -> None:
        until = time.monotonic() + START_SECONDS
        while self.status("/ready") != 503:
            assert time.monotonic() < until, "the proxy does not drain"
            time.sleep(0.01)

    def status(self, path: str) -> int:
        try:
            self.get(path)
        except urllib.error.HTTPError as answer:
            return answer.code
        return 200

    def metric(self, name: str, **labels: str) -> int:
        """The sum of a metric's samples that have these labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(f"injector_proxy_{name}{{")]
        assert lines, f"no metric {name}"
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(int(line.rpartition(" ")[2]) for line in lines if all(text in line for text in wanted))

    def wait_metric(self, expected: int, name: str, **labels: str) -> None:
        """For what is counted a moment after it was seen."""
        until = time.monotonic() + 5
        while (found := self.metric(name, **labels)) != expected:
            assert time.monotonic() < until, f"{name} {labels}: expected {expected}, found {found}"
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


class Echo:
    """A TCP server on one thread."""

    def __init__(self, pod: Pod, addresses: tuple[str, ...], port: int) -> None:
        self.listeners = [pod.inside(_listen, address, port) for address in addresses]
        self.clients: list[str] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> list[str]:
        self.thread.start()
        return self.clients

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for listener in self.listeners:
                selector.register(listener, selectors.EVENT_READ)
            while not self.stopped.is_set():
                for key, _ in selector.select(timeout=0.02):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one in self.listeners:
                        stream, peer = one.accept()
                        self.clients.append(peer[0])
                        selector.register(stream, selectors.EVENT_READ)
                    elif not self._echo(one):
                        selector.unregister(one)
                        one.close()
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()

    @staticmethod
    def _echo(stream: socket.socket) -> bool:
        try:
            data = stream.recv(65536)
            stream.sendall(data)
        except OSError:
            return False
        return bool(data)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    return listener


def exchange(stream: socket.socket, data: bytes) -> bytes:
    """Sends all of it, says that this is all, and returns what comes back until the end."""
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)
    answer = b""
    while chunk := stream.recv(65536):
        answer += chunk
    return answer
