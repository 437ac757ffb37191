"""Pods of an opted-in namespace, created again and again (and not stored) while something else goes on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from tests.cluster.support import pods
from tests.cluster.support.errors import ApiError
from tests.cluster.support.sandbox import Sandbox
from tests.cluster.support.waiting import eventually

PAUSE_SECONDS: Final = 0.05


@dataclass
class Load:
    """How each creation went: how long it took, and what was wrong with it."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def quantile(self, part: float) -> float:
        """0.5 for the median, 0.99 for the slowest in a hundred."""
        return sorted(self.seconds)[int(len(self.seconds) * part)]

    def wait_for(self, reviews: int) -> None:
        """Return once so many creations have been tried."""
        eventually(
            lambda: len(self.seconds), lambda seen: seen >= reviews, seconds=60.0, what=f"{reviews} reviews were tried"
        )


@contextmanager
def load(sandbox: Sandbox, *, clients: int) -> Iterator[Load]:
    """So many clients, each creating one pod after the other, while the block runs."""
    seen, over = Load(), threading.Event()
    threads = [threading.Thread(target=_create_pods, args=(sandbox, seen, over)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _create_pods(sandbox: Sandbox, seen: Load, over: threading.Event) -> None:
    while not over.wait(PAUSE_SECONDS):
        began = time.monotonic()
        try:
            answer = sandbox.api.create(pods.pod("web"), sandbox.name, dry_run=True)
            if "initContainers" not in answer.object["spec"]:
                seen.failures.append("a pod without a sidecar")
        except (ApiError, httpx.HTTPError) as error:
            seen.failures.append(str(error))
        seen.seconds.append(time.monotonic() - began)
