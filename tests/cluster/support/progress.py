"""Telling a person what takes so long, past pytest's capture."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

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


def say(line: str) -> None:
    """One line, now."""
    with uncaptured():
        print(line, file=sys.stderr, flush=True)
