"""Kubernetes resource quantities (apimachinery's resource.Quantity): "100m", "1.5", "64Mi", "1e3"."""

import math
import re
from fractions import Fraction
from typing import Final

_FORM: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(m|u|n|[kMGTPE]i?|[eE][+-]?[0-9]{1,2})?")

_UNITS: Final = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{prefix: Fraction(1000 ** (power + 1)) for power, prefix in enumerate("kMGTPE")},
    **{f"{prefix}i": Fraction(1024 ** (power + 1)) for power, prefix in enumerate("KMGTPE")},
}


def parse(text: str) -> Fraction:
    """The quantity in base units (cores, bytes). Raises ValueError on what is not one, and on negative ones."""
    match = _FORM.fullmatch(text.replace("Ki", "ki"))
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a quantity")
    number, unit = match.groups()
    if not unit:
        return Fraction(number)
    if unit[0] in "eE" and len(unit) > 1:
        return Fraction(number) * Fraction(10) ** int(unit[1:])
    return Fraction(number) * _UNITS["Ki" if unit == "ki" else unit]


def equal(one: object, other: object) -> bool:
    """Whether two quantities, as JSON strings or numbers, mean the same amount; what cannot be read equals nothing."""
    try:
        return parse(str(one)) == parse(str(other))
    except ValueError:
        return False


def ceil_cores(text: str) -> int:
    """Whole cores that hold the quantity, at least one."""
    return max(1, math.ceil(parse(text)))
