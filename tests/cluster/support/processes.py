"""The processes of a pod on our own nodes, found exactly, to be killed as a failing machine would."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.cluster.kubernetes import cgroups
from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.kinds import Json

LOOK_AGAIN_SECONDS: Final = 0.05
"""A Python process takes a second from its start to its first answer: it is found long before."""


def pod_cgroup(cluster: Cluster, pod: Json) -> Path:
    """The directory below which all containers of a pod have their cgroups; they come and go, it stays."""
    if cluster.ours is None:
        raise Failure("killing a container's processes needs a cluster started by scripts/cluster, on this machine")
    root = cgroups.tracking_tree() / cluster.ours.name / str(pod["spec"]["nodeName"])
    found = list(root.glob(f"kubepods/**/pod{pod['metadata']['uid']}"))
    if len(found) != 1:
        raise Failure(f"expected one cgroup of pod {pod['metadata']['name']} below {root}, found {found}")
    return found[0]


def running(pod: Path, words: Sequence[str]) -> Iterator[int]:
    """Process ids in the pod of this cgroup whose command line has all of these words, each as a whole argument."""
    for container in pod.iterdir():
        for pid in cgroups.members(container):
            with suppress(OSError):  # it may end while we look
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                if all(any(argument.rpartition("/")[2] == word for argument in arguments) for word in words):
                    yield pid


def kill(pods: Sequence[Path], words: Sequence[str], number: int = signal.SIGKILL) -> int:
    """Send each such process a signal now; how many there were."""
    killed = 0
    for pod in pods:
        for pid in running(pod, words):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                killed += 1
    return killed


@contextmanager
def kept_dead(pods: Sequence[Path], words: Sequence[str]) -> Iterator[None]:
    """Kill each such process, and each successor that the kubelet starts, until the block ends."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            kill(pods, words)
            over.wait(LOOK_AGAIN_SECONDS)

    assert kill(pods, words) > 0, f"nothing to kill: no process {' '.join(words)} in {[str(pod) for pod in pods]}"
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
