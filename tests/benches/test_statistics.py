"""Statistics of measured figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benches.statistics import fit, interleaved, median, percentile

FINITE = st.floats(min_value=-1e9, max_value=1e9)


@pytest.mark.parametrize(("values", "expected"), [([3], 3), ([3, 1, 2], 2), ([4, 1, 3, 2], 2.5), ([1, 1, 9, 9], 5)])
def test_median(values: list[float], expected: float) -> None:
    assert median(values) == expected


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (90, 90), (99, 99), (99.5, 100), (100, 100), (1, 1), (0.1, 1)]
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


@given(st.lists(FINITE, min_size=1, max_size=200), st.floats(min_value=0.1, max_value=100))
def test_percentile_occurred_and_is_not_exceeded_by_that_many(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    not_above = sum(value <= found for value in values)
    assert not_above >= len(values) * percent / 100 - 1e-9
    assert sum(value < found for value in values) < len(values) * percent / 100 + 1e-9


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_percentile_of_nonsense_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        percentile([1.0], percent)


def test_no_values_have_neither() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(
    st.floats(min_value=0.01, max_value=10),
    st.floats(min_value=0.001, max_value=10),
    st.lists(st.integers(min_value=1, max_value=10**6), min_size=2, max_size=6, unique=True),
)
def test_points_on_a_line_give_that_line(base: float, slope: float, sizes: list[int]) -> None:
    line = fit([(size, base + slope * size) for size in sizes])
    assert line.worst < 1e-6
    assert line.at(sizes[0]) == pytest.approx(base + slope * sizes[0])


def test_squares_are_seen_not_to_be_linear() -> None:
    sizes = [4096, 65536, 1048576]
    line = fit([(size, 0.2 + (size / 65536) ** 2) for size in sizes])
    assert line.worst > 0.5


def test_small_sizes_count_as_much_as_large_ones() -> None:
    # Absolute squares would put the line through the last two points and be 900 % off at the first.
    line = fit([(1, 1.0), (1000, 10.0), (1001, 10.0)])
    assert line.at(1) == pytest.approx(1.0, rel=0.01)


def test_a_line_needs_two_sizes_and_costs() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        fit([(1, 1.0), (1, 2.0)])
    with pytest.raises(ValueError, match="positive"):
        fit([(1, 0.0), (2, 2.0)])


def test_interleaved_begins_each_round_one_case_later() -> None:
    assert list(interleaved("abc", 4)) == [
        *[(0, "a"), (0, "b"), (0, "c")],
        *[(1, "b"), (1, "c"), (1, "a")],
        *[(2, "c"), (2, "a"), (2, "b")],
        *[(3, "a"), (3, "b"), (3, "c")],
    ]
