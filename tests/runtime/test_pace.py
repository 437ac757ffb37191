"""Token bucket and back-off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.pace import Backoff, TokenBucket


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(0.09)
    assert bucket.take(0.11)


def test_a_reservation_says_how_long_to_wait_and_takes_nothing_when_that_is_too_long() -> None:
    bucket = TokenBucket(rate=10, burst=1)
    assert bucket.reserve(0.0, 1.0) == 0.0
    assert bucket.reserve(0.0, 1.0) == pytest.approx(0.1)
    assert bucket.reserve(0.0, 1.0) == pytest.approx(0.2)
    assert bucket.reserve(0.0, 0.25) is None
    assert bucket.reserve(0.0, 1.0) == pytest.approx(0.3)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.floats(0.1, 50), st.integers(1, 20))
def test_never_more_than_burst_and_rate_allow(moments: list[float], rate: float, burst: int) -> None:
    bucket = TokenBucket(rate=rate, burst=burst)
    moments.sort()
    granted = [moment for moment in moments if bucket.take(moment)]
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + rate * (granted[last] - granted[first]) + 1e-6


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=10, burst=1, updated=5.0)
    assert bucket.take(5.0)
    assert not bucket.take(4.0)
    assert not bucket.take(4.05)


def test_backing_off_grows_to_its_cap_and_starts_over_after_success() -> None:
    backoff = Backoff(base=1.0, cap=8.0)
    ceilings = [1, 2, 4, 8, 8, 8]
    for ceiling in ceilings:
        assert 0 <= backoff.next_delay() <= ceiling
    backoff.reset()
    assert backoff.next_delay() <= 1


def test_delays_are_spread() -> None:
    assert len({Backoff(base=1.0, cap=8.0).next_delay() for _ in range(20)}) > 15
