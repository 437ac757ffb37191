"""Quantities against Decimal, unit by unit as apimachinery's resource.Quantity documents them."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject import quantity

SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
NUMBERS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9}", fullmatch=True, alphabet="0123456789.")
EXPONENTS = st.from_regex(r"[eE][+-]?[0-9]{1,2}", fullmatch=True, alphabet="eE+-0123456789")


@given(NUMBERS, st.sampled_from(sorted(SUFFIXES)))
def test_a_suffix_scales_the_number(number: str, suffix: str) -> None:
    assert quantity.parse(number + suffix) == Fraction(Decimal(number)) * Fraction(SUFFIXES[suffix])


@given(NUMBERS, EXPONENTS)
def test_an_exponent_is_a_power_of_ten(number: str, exponent: str) -> None:
    assert quantity.parse(number + exponent) == Fraction(Decimal(number)) * Fraction(10) ** int(exponent[1:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "1 ",
        " 1",
        "1\n",
        "-1",
        "+1",
        "1ki",
        "1K",
        "1mi",
        "1Zi",
        "1kk",
        "1e",
        "1e100",
        "1e1.5",
        "1,5",
        "0x10",
        "NaN",
        "inf",
        "1_000",
        "٣",
        "9" * 19,
        "1." + "0" * 10,
        "True",
        "None",
    ],
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.5", "500m", True),
        ("1Gi", "1024Mi", True),
        ("1G", "1Gi", False),
        (1, "1", True),
        (0.5, "500m", True),
        ("1.5m", "2m", True),  # the API server rounds up to thousandths
        ("1.5m", "1m", False),
        ("x", "x", False),
        (None, None, False),
        ("1", [], False),
    ],
)
def test_equal_amounts_are_equal_in_any_notation(one: object, other: object, *, same: bool) -> None:
    assert quantity.equal(one, other) is same


@pytest.mark.parametrize(("text", "cores"), [("0", 1), ("10m", 1), ("1", 1), ("1001m", 2), ("1.5", 2), ("64", 64)])
def test_cores_are_counted_whole(text: str, cores: int) -> None:
    assert quantity.ceil_cores(text) == cores
