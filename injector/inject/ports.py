"""Port numbers and ranges, as annotations write them ("25,3306,5000-5010") and as iptables takes them."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

MAX_PORT: Final = 65535

MULTIPORT_SLOTS: Final = 15
"""Ports that one multiport match holds; a range takes two of them (iptables-extensions(8), XT_MULTI_PORTS)."""


class PortRange(NamedTuple):
    """Ports `first` to `last`, both included; a single port is a range of one."""

    first: int
    last: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def parse(text: str) -> tuple[PortRange, ...]:
    """Ranges of a comma-separated list, sorted and merged; raises ValueError that names the first bad item."""
    return merge(_parse_item(item.strip()) for item in text.split(",") if item.strip())


def _parse_item(item: str) -> PortRange:
    first, dash, last = item.partition("-")
    numbers = [first.strip(), last.strip()] if dash else [first, first]
    if not all(number.isascii() and number.isdigit() and len(number) <= len(str(MAX_PORT)) for number in numbers):
        raise ValueError(f"{item[:40]!r} is not a port or a range")
    low, high = int(numbers[0]), int(numbers[1])
    if not 1 <= low <= high <= MAX_PORT:
        raise ValueError(f"{item!r} is not within 1-{MAX_PORT} in rising order")
    return PortRange(low, high)


def merge(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """The same ports in the fewest ranges, ascending: overlapping and adjacent ones become one."""
    merged: list[PortRange] = []
    for current in sorted(ranges):
        if merged and current.first <= merged[-1].last + 1:
            merged[-1] = PortRange(merged[-1].first, max(merged[-1].last, current.last))
        else:
            merged.append(current)
    return tuple(merged)


def multiport(ranges: Iterable[PortRange]) -> Iterator[str]:
    """Values for `--dports`, each within what one multiport match holds."""
    batch: list[str] = []
    used = 0
    for item in ranges:
        slots = 1 if item.first == item.last else 2
        if used + slots > MULTIPORT_SLOTS:
            yield ",".join(batch)
            batch, used = [], 0
        batch.append(str(item).replace("-", ":"))
        used += slots
    if batch:
        yield ",".join(batch)


def text(ranges: Iterable[PortRange]) -> str:
    """The list in its normal form, as `parse` reads it."""
    return ",".join(map(str, ranges))
