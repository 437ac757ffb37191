"""Options that several commands share, and how help texts show examples."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from injector.cli.outcome import CommandError, ExitCode

KubeconfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Kubeconfig file; default: what kubectl would use.", dir_okay=False),
]
ContextOption: TypeAlias = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig; default: its current one.")
]
NamespaceOption: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace of what does not say its own; default: `default`.")
]
PodNamespaceOption: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The pod's namespace; default: `default`.")
]

NamespaceArgument: TypeAlias = Annotated[str, typer.Argument(help="The namespace.", metavar="NAMESPACE")]
RestartOption: TypeAlias = Annotated[
    bool, typer.Option("--restart", help="Replace running pods by a rolling update of each workload, and wait for it.")
]


class Report(StrEnum):
    """How a command says what it found."""

    TEXT = "text"
    JSON = "json"


ReportOption: TypeAlias = Annotated[
    Report, typer.Option("--output", "-o", help="`json` for programs; every field is always there.")
]


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """A time such as 90s, 15m, 6h or 30d; wrong usage otherwise."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS):
        raise typer.BadParameter(f"expected a number with s, m, h or d, such as 90s or 30d, got {text!r}")
    return timedelta(seconds=int(number) * _UNITS[unit])


def paragraphs(text: str | None) -> str:
    """A docstring as help: its paragraphs, each one line, for the terminal's width to break."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def examples(*lines: str) -> str:
    """The end of a command's help: what a person would type."""
    return "Examples:\n\n" + "\n\n".join(f"  $ {line}" for line in lines)


def key_values(option: str, texts: list[str] | None) -> dict[str, str]:
    """`key=value` texts of a repeatable option as a mapping; ends the command with every bad one."""
    pairs = [text.partition("=") for text in texts or ()]
    bad = [f"{option}: expected key=value, got {key!r}" for key, equals, _ in pairs if not equals or not key]
    if bad:
        raise CommandError(*bad, code=ExitCode.USAGE)
    return {key: value for key, _, value in pairs}
