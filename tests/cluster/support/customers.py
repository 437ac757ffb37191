"""Pods that ask a server again and again, and tell of every request that failed."""

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.cluster.support import pods
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod
from tests.cluster.support.waiting import eventually

CONTAINER: Final = "load"
TALLY_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Tally:
    """What a load (tests/cluster/app/load.go) has come to since it began."""

    done: int
    failed: int
    dialled: int
    cut: int
    slowest_ms: int


def container(
    url: str,
    *,
    keep: bool = False,
    h2c: bool = False,
    post: int = 0,
    clients: int = 2,
    pause: str = "50ms",
    name: str = CONTAINER,
) -> Json:
    """A container that asks the URL without end: each client over one connection that it keeps, or each time anew; over
    HTTP/2; with a body of so many bytes."""
    how = [*(["--keep"] if keep else []), *(["--h2c"] if h2c else []), *(["--post", str(post)] if post else [])]
    return pods.container(name, args=["load", "--clients", str(clients), "--pause", pause, *how, url])


def customer(
    name: str, url: str, *, node: str = "", keep: bool = False, clients: int = 2, pause: str = "50ms", **fields: Any
) -> Json:
    """A pod with nothing else."""
    return pods.pod(name, pods.spec(container(url, keep=keep, clients=clients, pause=pause), node=node, **fields))


def tally(pod: Pod, name: str = CONTAINER) -> Tally:
    """The newest count; zeros before the first second is over."""
    lines = [line for line in pod.logs(name).splitlines() if line.startswith("{")]
    return Tally(**json.loads(lines[-1])) if lines else Tally(0, 0, 0, 0, 0)


def failures(pod: Pod, name: str = CONTAINER) -> list[str]:
    """What went wrong, one line a request, the oldest first."""
    return [line for line in pod.logs(name).splitlines() if line.startswith("failed ")]


def wait_more(pod: Pod, requests: int, name: str = CONTAINER) -> Tally:
    """Wait until so many more requests are answered: whoever asks whether one failed wants some to ask about."""
    wanted = tally(pod, name).done + requests
    what = f"{pod.name} has {requests} more answers; failures: {failures(pod, name)[-3:]}"
    return eventually(lambda: tally(pod, name), lambda now: now.done >= wanted, seconds=TALLY_SECONDS, what=what)
