"""What `webhook` and `controller` share: options, and how a server that cannot start says so."""

from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from injector.cli.outcome import CommandError, ExitCode


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogFormat(StrEnum):
    """How lines are logged."""

    JSON = "json"
    TEXT = "text"


InstallationOption: TypeAlias = Annotated[
    Path, typer.Option("--installation", help="The installation's settings (key installation.yaml of the ConfigMap).")
]
HostOption: TypeAlias = Annotated[str, typer.Option(help="Address to listen on; empty for all, v4 and v6.")]
SystemNamespaceOption: TypeAlias = Annotated[str, typer.Option(help="Where the mesh's own objects are.")]
LogLevelOption: TypeAlias = Annotated[LogLevel, typer.Option(help="The least that is logged.")]
LogFormatOption: TypeAlias = Annotated[LogFormat, typer.Option(help="How it is logged.")]


def serve_until_told(serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a server until SIGTERM or SIGINT, then lets it drain; settings it cannot start with end the command."""
    import uvloop

    from injector.runtime.errors import StartupError

    try:
        uvloop.run(serve())
    except StartupError as failed:
        raise CommandError(*failed.faults, code=ExitCode.SETTINGS) from failed
