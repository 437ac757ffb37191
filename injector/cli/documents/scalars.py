"""What a plain YAML scalar means to kubectl.

kubectl reads YAML 1.1 by its own table (sigs.k8s.io/yaml on go-yaml v2): `yes` and `on` are booleans, `010` is eight,
`1_000` is a thousand, dates are strings. What is previewed must be what the cluster would be given, so this table is
the same; tests/cli/test_documents.py compares it with a kubectl where there is one.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}

_HEX: Final = re.compile(r"[-+]?0[xX][0-9a-fA-F]+")
_BINARY: Final = re.compile(r"[-+]?0b[01]+")
_OCTAL: Final = re.compile(r"[-+]?0o?[0-7]+")
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

LONGEST_NUMBER: Final = 400
"""Characters of a number: the longest that a 64-bit float can be written with exponent-free digits has 309 before the
point. A longer run of digits is a string here, and costs no quadratic conversion."""


def resolve(text: str) -> Scalar:
    """The value of a plain (unquoted, untagged) scalar. Infinities and NaN come back as floats: JSON has none."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if len(text) > LONGEST_NUMBER or not (first.isascii() and (first.isdigit() or first in "+-.")):
        return text
    number = _number(text.replace("_", ""))
    return text if number is None else number


def _number(digits: str) -> int | float | None:
    if _HEX.fullmatch(digits):
        return int(digits, 16)
    if _BINARY.fullmatch(digits):
        return int(digits, 2)
    if _OCTAL.fullmatch(digits):
        return int(digits.replace("o", ""), 8)
    if _DECIMAL.fullmatch(digits):
        return int(digits)
    if not _FLOAT.fullmatch(digits):
        return None
    value = float(digits)
    if math.isinf(value):
        return None  # kubectl keeps 1E400 as a string
    # 1e3 and 1.0 are the JSON number 1000 and 1 once kubectl has sent them; an integer field takes them.
    return int(value) if value.is_integer() else value


def tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with an explicit tag, such as `!!str 12`; raises ValueError where they do not fit."""
    reader = _TAGS.get(tag)
    return text if reader is None else reader(text)


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as fault:
        raise ValueError(f"!!binary is not base64 of a text: {fault}") from fault


def _of(kinds: tuple[type, ...], name: str) -> Callable[[str], Scalar]:
    def read(text: str) -> Scalar:
        value = resolve(text)
        if type(value) not in kinds:
            raise ValueError(f"expected a value for {name}, got {text[:64]!r}")
        return value

    return read


_TAGS: Final[dict[str, Callable[[str], Scalar]]] = {
    "tag:yaml.org,2002:int": _of((int,), "!!int"),
    "tag:yaml.org,2002:float": _of((int, float), "!!float"),
    "tag:yaml.org,2002:bool": _of((bool,), "!!bool"),
    "tag:yaml.org,2002:null": _of((type(None),), "!!null"),
    "tag:yaml.org,2002:binary": _binary,
}
