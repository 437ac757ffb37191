"""Kubernetes resource quantities (apimachinery's resource.Quantity): "100m", "1.5", "64Mi", "1e3"."""

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

_FORM: Final = re.compile(
    r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?"
)
"""Number, then a unit or a power of ten: "1E" is an exa, "1E3" a thousand, "1Ei" 2^60; k is decimal, Ki binary."""

REMEMBERED: Final = 4096
"""Quantities kept parsed. Only good ones are, which have at most 33 characters; a cluster uses a few dozen."""

_UNITS: Final = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{prefix: Fraction(1000 ** (power + 1)) for power, prefix in enumerate("kMGTPE")},
    **{f"{prefix}i": Fraction(1024 ** (power + 1)) for power, prefix in enumerate("KMGTPE")},
}


@lru_cache(maxsize=REMEMBERED)
def parse(text: str) -> Fraction:
    """The quantity in base units (cores, bytes). Raises ValueError on what is not one, and on negative ones."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a quantity")
    number, unit, power = match.groups()
    scale = Fraction(10) ** int(power) if power else _UNITS[unit] if unit else 1
    return Fraction(number) * scale


def equal(one: object, other: object) -> bool:
    """Whether two quantities, as JSON strings or numbers, mean the same amount once the API server has rounded them up
    to thousandths (core/v1 SetDefaults_ResourceList); what cannot be read equals nothing."""
    try:
        return math.ceil(parse(str(one)) * 1000) == math.ceil(parse(str(other)) * 1000)
    except ValueError:
        return False


def ceil_cores(text: str) -> int:
    """Whole cores that hold the quantity, at least one."""
    return max(1, math.ceil(parse(text)))
