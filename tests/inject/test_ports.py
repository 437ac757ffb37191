"""Lists of ports against the plainest model there is: a set of numbers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject.ports import MULTIPORT_SLOTS, PortRange, merge, multiport, parse, text

RANGES = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda ends: PortRange(min(ends), max(ends)))
NEAR_RANGES = st.tuples(st.integers(1, 60), st.integers(0, 5)).map(lambda it: PortRange(it[0], it[0] + it[1]))
LISTS = st.lists(NEAR_RANGES | RANGES, max_size=40)


def members(ranges: list[PortRange] | tuple[PortRange, ...]) -> set[int]:
    return {port for item in ranges for port in range(item.first, item.last + 1)}


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("", ""),
        (" , ,", ""),
        ("25", "25"),
        ("3306,25", "25,3306"),
        (" 25 , 5000 - 5010 ", "25,5000-5010"),
        ("1-65535", "1-65535"),
        ("80,80,80", "80"),
        ("80,81,82", "80-82"),
        ("10-20,15-30,31", "10-31"),
        ("10-30,15-20", "10-30"),
        ("5000-5000", "5000"),
        ("080", "80"),
    ],
)
def test_a_list_is_sorted_and_merged(written: str, normal: str) -> None:
    assert text(parse(written)) == normal


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("0", "'0' is not within 1-65535"),
        ("65536", "'65536' is not within 1-65535"),
        ("20-10", "'20-10' is not within 1-65535 in rising order"),
        ("0-5", "'0-5' is not within"),
        ("http", "'http' is not a port or a range"),
        ("-1", "'-1' is not a port or a range"),
        ("1-", "'1-' is not a port or a range"),
        ("1-2-3", "'1-2-3' is not a port or a range"),
        ("80;81", "'80;81' is not a port or a range"),
        ("80 81", "'80 81' is not a port or a range"),
        ("8_0", "'8_0' is not a port or a range"),
        ("+80", r"'\+80' is not a port or a range"),
        ("1e3", "'1e3' is not a port or a range"),
        ("٣", "is not a port or a range"),  # a digit for Python, not for the kernel
        ("²", "is not a port or a range"),
        ("8" * 5000, "'8{40}' is not a port or a range"),
        ("80,,x", "'x' is not a port or a range"),
        ("80\n-A INPUT -j DROP", "is not a port or a range"),
    ],
)
def test_a_bad_list_is_refused_by_its_first_bad_item(written: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(written)


@given(LISTS)
def test_merging_keeps_exactly_the_same_ports(ranges: list[PortRange]) -> None:
    assert members(merge(ranges)) == members(ranges)


@given(LISTS)
def test_merged_ranges_rise_with_gaps_between_them(ranges: list[PortRange]) -> None:
    merged = merge(ranges)
    assert all(before.last + 1 < after.first for before, after in pairwise(merged))


@given(LISTS)
def test_what_is_written_is_read_back(ranges: list[PortRange]) -> None:
    assert parse(text(merge(ranges))) == merge(ranges)


@given(LISTS)
def test_multiport_batches_hold_at_most_fifteen_slots_and_every_port_once(ranges: list[PortRange]) -> None:
    batches = list(multiport(merge(ranges)))
    slots = [sum(2 if ":" in item else 1 for item in batch.split(",")) for batch in batches]
    assert all(1 <= used <= MULTIPORT_SLOTS for used in slots)
    assert all(used >= MULTIPORT_SLOTS - 1 for used in slots[:-1]), "a batch is closed only when the next does not fit"
    assert parse(",".join(batches).replace(":", "-")) == merge(ranges)


def test_fifteen_single_ports_are_one_match_and_sixteen_are_two() -> None:
    singles = [PortRange(port, port) for port in range(2, 34, 2)]
    assert list(multiport(singles[:15])) == ["2,4,6,8,10,12,14,16,18,20,22,24,26,28,30"]
    assert list(multiport(singles)) == ["2,4,6,8,10,12,14,16,18,20,22,24,26,28,30", "32"]


def test_a_range_takes_two_slots() -> None:
    ranges = [PortRange(port, port + 1) for port in range(10, 90, 10)]
    assert list(multiport(ranges)) == ["10:11,20:21,30:31,40:41,50:51,60:61,70:71", "80:81"]
    assert list(multiport([])) == []


@given(RANGES, st.integers(0, 65536))
def test_a_range_contains_its_ports_and_no_others(item: PortRange, port: int) -> None:
    assert (port in item) == (item.first <= port <= item.last)
