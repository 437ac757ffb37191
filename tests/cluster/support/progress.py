"""Telling a person what takes so long, past pytest's capture."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.cluster.kubernetes.shell import Failure

uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext
"""What lifts pytest's capture of the streams for a moment; conftest.py sets it."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step of seconds or minutes, and say how long it took."""
    started = time.monotonic()
    say(f"  {what} …")
    try:
        yield
    except BaseException:
        say(f"  {what} failed after {time.monotonic() - started:.1f} s")
        raise
    say(f"  {what}: {time.monotonic() - started:.1f} s")


def run_visibly(*command: str | Path) -> None:
    """Run a program to the end while the person sees what it says; a non-zero exit is a Failure."""
    words = [str(word) for word in command]
    with uncaptured():
        done = subprocess.run(words, stdout=sys.stderr.fileno(), check=False)
    if done.returncode != 0:
        raise Failure(f"`{' '.join(words)}` ended with {done.returncode}; what it said is above")


def say(line: str) -> None:
    """One line, now."""
    with uncaptured():
        print(line, file=sys.stderr, flush=True)
