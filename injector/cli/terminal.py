"""What reaches a terminal: colour only where one is, and never a character that the terminal would obey."""

import sys
import unicodedata
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that control a terminal or reorder its text: C0 and C1 (escape sequences), bidirectional overrides
and other format characters, lone surrogates, line and paragraph separators."""

_KEPT: Final = frozenset("\n\t")


def clean(text: str) -> str:
    """The text with every character that a terminal would obey written as an escape, such as `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in _OBEYED
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def one_line(text: str) -> str:
    """The text cleaned and without line breaks, for messages that are a line each."""
    return clean(text).replace("\n", "\\n").replace("\t", " ")


def console(stream: TextIO) -> "Console":
    """A rich console that neither wraps nor guesses at markup; rich itself respects NO_COLOR and pipes."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def show(text: "Text | str") -> None:
    """A line of result on standard output; styled text keeps its styles where there is a terminal."""
    _print(text, sys.stdout)


def report(line: "Text | str") -> None:
    """A line of a report: where a terminal is narrower than it, it goes on below, as far indented as it began."""
    if not line or not sys.stdout.isatty():
        show(line)
        return
    from rich.padding import Padding
    from rich.text import Text

    text = Text(clean(line)) if isinstance(line, str) else line
    indent = len(text.plain) - len(text.plain.lstrip(" "))
    console(sys.stdout).print(Padding(text[indent:], (0, 0, 0, indent), expand=False), soft_wrap=False)


def note(text: "Text | str") -> None:
    """A line about the work on standard error."""
    _print(text, sys.stderr)


def _print(text: "Text | str", stream: TextIO) -> None:
    if isinstance(text, str) and not stream.isatty():
        stream.write(clean(text) + "\n")
        return
    from rich.text import Text

    styled = Text(clean(text)) if isinstance(text, str) else text
    console(stream).print(styled)


def emit(text: str) -> None:
    """A whole document on standard output: its own bytes into a pipe or file, cleaned on a terminal."""
    sys.stdout.write(clean(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def styled(*parts: str | tuple[str, str]) -> "Text":
    """A line of parts, each a text or a (text, style); every one is cleaned."""
    from rich.text import Text

    return Text.assemble(*(clean(part) if isinstance(part, str) else (clean(part[0]), part[1]) for part in parts))
