"""The two ways of holding back: a token bucket bounds a rate, a back-off spaces out retries. No clock of their own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """At most `burst` at once and `rate` a second on average; `now` is monotonic seconds, given by the caller.

    The level may go below zero by `reserve`, which is how a waiting line is kept without a queue: each reservation
    says how long its owner must wait for its turn.
    """

    rate: float
    burst: float
    level: float = field(default=-1.0)
    updated: float = 0.0

    def __post_init__(self) -> None:
        if self.level < 0:
            self.level = self.burst

    def _refill(self, now: float) -> None:
        self.level = min(self.burst, self.level + max(0.0, now - self.updated) * self.rate)
        self.updated = now

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        self._refill(now)
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def reserve(self, now: float, longest_wait: float) -> float | None:
        """Take one token that may still have to arrive: the seconds until it does, or None (nothing taken) if that
        is longer than `longest_wait`."""
        self._refill(now)
        wait = max(0.0, (1 - self.level) / self.rate)
        if wait > longest_wait:
            return None
        self.level -= 1
        return wait

    def wait_for_one(self, now: float) -> float:
        """Seconds until `take` would succeed, if nobody else takes."""
        self._refill(now)
        return max(0.0, (1 - self.level) / self.rate)

    def full(self, now: float) -> bool:
        """Whether nothing is owed: a full bucket remembers nothing and can be dropped."""
        self._refill(now)
        return self.level >= self.burst


@dataclass(slots=True)
class Backoff:
    """Exponential back-off with full jitter: the n-th delay is uniform between zero and `base * 2**n`, at most `cap`.

    Full jitter, because the usual cause (an API server restarting) hits every replica in the same instant.
    """

    base: float
    cap: float
    failures: int = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        ceiling = min(self.cap, self.base * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Forget the failures: something worked."""
        self.failures = 0
