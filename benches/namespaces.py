"""Running in another network namespace, and pairs of namespaces that stand for two pods on one link."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benches.progress import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000  # linux/sched.h
NAMED = Path("/run/netns")


def _move_to(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise BenchError(f"cannot enter a network namespace: {os.strerror(number)} (needs root)")


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Sockets made and processes started inside belong to the named namespace. For single-threaded use."""
    path = NAMED / name
    if not path.exists():
        raise BenchError(f"expected a network namespace {name}, and there is none ({path})")
    with Path("/proc/self/ns/net").open() as home, path.open() as there:
        _move_to(there.fileno())
        try:
            yield
        finally:
            _move_to(home.fileno())


def ip(*words: str) -> None:
    """Run iproute2; its words are the error."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"`ip {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")


@contextlib.contextmanager
def pod_pair(name: str, network: int) -> Iterator[tuple[Pod, Pod]]:
    """Two namespaces joined by a veth pair, as two pods on one node are; gone afterwards with all that is in them."""
    client, server = Pod(f"{name}-client", f"10.77.{network}.1"), Pod(f"{name}-server", f"10.77.{network}.2")
    try:
        for pod in (client, server):
            ip("netns", "add", pod.namespace)
            ip("-n", pod.namespace, "link", "set", "lo", "up")
        ip("-n", client.namespace, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", server.namespace)
        for pod in (client, server):
            ip("-n", pod.namespace, "address", "add", f"{pod.address}/24", "dev", "eth0")
            ip("-n", pod.namespace, "link", "set", "eth0", "up")
        yield client, server
    finally:
        for pod in (client, server):
            if (NAMED / pod.namespace).exists():
                ip("netns", "delete", pod.namespace)


class Pod:
    """A network namespace with one address."""

    def __init__(self, namespace: str, address: str) -> None:
        self.namespace = namespace
        self.address = address


@contextlib.contextmanager
def named(pid: int, name: str) -> Iterator[str]:
    """The network namespace of a process that runs, under a name for as long as the block takes."""
    ip("netns", "attach", name, str(pid))
    try:
        yield name
    finally:
        ip("netns", "delete", name)
