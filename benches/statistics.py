"""Plain statistics of measured figures, and the order in which cases are measured. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two middle ones where their number is even."""
    ordered = _ordered(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed (nearest rank: a value that occurred)."""
    if not 0 < percent <= 100:
        raise ValueError(f"expected a percentage above 0 and up to 100, got {percent}")
    ordered = _ordered(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def _ordered(values: Sequence[float]) -> list[float]:
    if not values:
        raise ValueError("no values were measured")
    return sorted(values)


@dataclass(frozen=True, slots=True)
class Line:
    """cost = base + slope * size."""

    base: float
    slope: float
    worst: float
    """The largest deviation of a measured cost from the line, as a share of that cost."""

    def at(self, size: float) -> float:
        """The cost that the line predicts."""
        return self.base + self.slope * size


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line through (size, cost) that keeps the squares of the *relative* deviations least.

    Relative, because sizes span three powers of ten: absolute squares would fit the largest size and nothing else.
    Minimises sum(((base + slope * x - y) / y)^2), which is linear least squares with the weights 1/y^2.
    """
    if len({size for size, _ in points}) < 2:
        raise ValueError(f"a line needs two sizes at least, got {sorted({size for size, _ in points})}")
    if any(cost <= 0 for _, cost in points):
        raise ValueError("costs must be positive")
    weights = [1 / cost**2 for _, cost in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True)) / spread
    base = mean_y - slope * mean_x
    worst = max(abs(base + slope * x - y) / y for x, y in points)
    return Line(base, slope, worst)


def interleaved(cases: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Every case once a round, each round beginning one case later: what drifts meanwhile meets all cases alike."""
    for turn in range(rounds):
        start = turn % len(cases)
        for case in (*cases[start:], *cases[:start]):
            yield turn, case
