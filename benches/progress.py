"""Telling a person what is being measured. On standard error, so that the figures can be piped."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


def say(message: str) -> None:
    """One line with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:4.0f} s] {message}", file=sys.stderr, flush=True)


class BenchError(Exception):
    """Something a person must know before figures can be had: what was expected, what came, what to do."""
