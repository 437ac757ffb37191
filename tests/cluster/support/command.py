"""The installed `injector`, run where it sees the cluster."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.cluster.support.cluster import Cluster

if TYPE_CHECKING:
    from subprocess import Popen

PROGRAM: Final = str(Path(sys.executable).parent / "injector")
SECONDS: Final = 120.0


def injector(cluster: Cluster, *words: str, stdin: str | None = None, seconds: float = SECONDS) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = cluster.run(PROGRAM, *words, stdin=stdin, seconds=seconds)
    return done.returncode, done.stdout, done.stderr


def start_injector(cluster: Cluster, *words: str) -> "Popen[str]":
    """The same without waiting; the caller collects it."""
    return cluster.start(PROGRAM, *words)
