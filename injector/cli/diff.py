"""A change of an object as a person reads it: lines taken away, lines added, a little around them."""

import difflib
from collections.abc import Iterator
from typing import Any, Final

from injector.cli.documents.write import to_yaml

_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def diff(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """Lines of a unified diff of two values as YAML, each with its style ("" for none)."""
    lines = difflib.unified_diff(to_yaml(before).splitlines(), to_yaml(after).splitlines(), lineterm="", n=3)
    next(lines, None), next(lines, None)  # the two lines that would name files
    for line in lines:
        yield line, _STYLES.get(line[:1], "")
