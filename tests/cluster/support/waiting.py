"""Waiting for what cannot be watched, such as a counter of a proxy."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support.errors import ApiError

PAUSE_SECONDS: Final = 0.1

Value = TypeVar("Value")


def eventually(read: Callable[[], Value], holds: Callable[[Value], bool], *, seconds: float, what: str) -> Value:
    """Read until it holds and return what was read; after `seconds` fail with `what` and the last reading.

    An ApiError and a Failure count as "not yet": what is read may not be there before it is ready.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            last: Value | ApiError | Failure = read()
        except (ApiError, Failure) as error:
            last = error
        if not isinstance(last, ApiError | Failure) and holds(last):
            return last
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {last}")
        time.sleep(PAUSE_SECONDS)
