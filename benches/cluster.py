"""The Kubernetes that measurements talk to: one of their own without nodes, or the one that `scripts/cluster` runs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
from typing import TYPE_CHECKING

from benches.processes import OUTPUT, ROOT
from benches.progress import BenchError, say
from tests.cluster.kubernetes.layout import FIRST, STATE_VARIABLE, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = ROOT / "scripts" / "cluster"


@contextlib.contextmanager
def api_only() -> Iterator[Layout]:
    """An API server without nodes, made for this measurement and gone afterwards."""
    layout = dataclasses.replace(Layout.from_environment(), state=OUTPUT / "cluster")
    environment = {**os.environ, STATE_VARIABLE: str(layout.state)}
    say("starting an API server of our own")
    try:
        _script("up", "--api-only", environment=environment)
        yield layout
    finally:
        _script("down", environment=environment)


def with_nodes() -> Layout:
    """The cluster that `scripts/cluster` runs; started if there is none, and left running."""
    layout = Layout.from_environment()
    if subprocess.run([SCRIPT, "status"], capture_output=True, check=False).returncode != 0:
        say("starting a cluster")
        _script("up", environment=dict(os.environ))
    return layout


def network(layout: Layout) -> str:
    """The network namespace from which the API server and pods can be reached."""
    return layout.namespace(FIRST)


def _script(*words: str, environment: dict[str, str]) -> None:
    done = subprocess.run([SCRIPT, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"scripts/cluster {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
