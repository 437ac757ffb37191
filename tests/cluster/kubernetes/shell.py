"""Running other programs, waiting for conditions, and telling a person what is going on."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LOG_TAIL_LINES = 15  # enough for a Go panic's first frames or a list of bad flags, short enough to read


class Failure(Exception):  # noqa: N818  (it is what a person sees, not a programming error)
    """Something that a person must know: what was tried, what came, where to look. Printed without a traceback."""


def say(message: str) -> None:
    """Progress goes to standard error, so that the output of a command can be piped."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step that takes seconds or minutes, and say how long it took."""
    print(f"  {what} …", end="", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    print(f" {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run to the end and return standard output; a non-zero exit is a Failure that shows the command and its words."""
    arguments = [str(word) for word in command]
    try:
        done = subprocess.run(arguments, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise Failure(f"{arguments[0]} is not installed (or not on PATH): {missing}") from missing
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing")[-4000:]
        raise Failure(f"`{' '.join(arguments)}` ended with {done.returncode}:\n{words}")
    return done.stdout


def succeeds(command: Sequence[str | Path]) -> bool:
    """Whether the command exits 0; its output is of no interest."""
    words = [str(word) for word in command]
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def wait_until(condition: Callable[[], bool], *, seconds: float, otherwise: Callable[[], str]) -> None:
    """Poll until the condition holds; after `seconds` it is a Failure with the words of `otherwise`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(otherwise())
        time.sleep(0.1)


def tail(log: Path) -> str:
    """The last lines of a log, indented, for an error message."""
    if not log.exists():
        return f"(no {log})"
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return f"the end of {log}:\n" + "\n".join(f"    {line[:400]}" for line in lines)
