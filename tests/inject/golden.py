"""Texts under tests/golden, compared to the letter.

    UPDATE_GOLDEN=1 uv run pytest tests/inject/test_golden.py tests/inject/test_reference.py

writes them anew (and the README's tables); then read `git diff`. A file that no test asks for fails test_golden.py.
"""

import difflib
import os
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1] / "golden"
UPDATING: Final = bool(os.environ.get("UPDATE_GOLDEN"))


def agree(file: Path, text: str) -> None:
    """The file holds exactly this text; or, when asked to, does from now on."""
    if UPDATING:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    kept = file.read_text() if file.exists() else ""
    assert text == kept, f"{file} differs; if that is meant, see {__file__} for how to write it anew\n{text}"


def difference(before: str, after: str, name: str) -> str:
    """A unified diff with three lines of context."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "base", name, lineterm="")
    return "".join(f"{line}\n" for line in lines) or "no difference\n"


class _Dumper(yaml.SafeDumper):
    """Block style, texts of several lines as they are read, and no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """YAML as a person would write it."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True))
