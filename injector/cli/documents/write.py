"""From values to YAML that every reader understands alike, and to JSON."""

import json
from typing import Any, Final

import yaml

from injector.cli.documents.scalars import resolve

SEPARATOR: Final = "---\n"

_BASE: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[valid-type,misc]
    """PyYAML's dumper without aliases (kubectl's output has none either), many-line texts as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    """Plain only where kubectl, PyYAML (YAML 1.1) and YAML 1.2 readers all take it for a string."""
    style = "|" if "\n" in value else None
    if style is None and not isinstance(resolve(value), str):
        style = '"'
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)
    return node


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """A document without separator, keys in their order, lines never folded."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return text


def to_json(value: Any) -> str:
    """Indented JSON with a newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def join(texts: list[str]) -> str:
    """One stream of the documents' texts."""
    return SEPARATOR.join(text if text.endswith("\n") else text + "\n" for text in texts)
