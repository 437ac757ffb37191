"""`injector`: the commands, and what their ends mean to the shell."""

import os
import sys
from typing import Final

import typer

from injector.cli.commands import (
    check,
    controller,
    disable,
    discovery,
    enable,
    explain,
    identity,
    inject,
    install,
    uninject,
    uninstall,
    version,
    webhook,
)
from injector.cli.options import paragraphs
from injector.cli.outcome import CommandError, ExitCode

EXIT_CODES: Final = """Exit codes:

 0  All is well.

 1  An input cannot be read, a pod would be refused, or a check found something.

 2  Wrong usage; nothing was done.

 3  The cluster could not be reached, or did not allow it.

64  Settings with which a part of the mesh cannot start."""

app = typer.Typer(
    name="injector",
    help="A service mesh for Kubernetes that asks for one annotation.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (install, check, enable, disable, inject, uninject, uninstall, webhook, controller, discovery, version):
    app.command(name=command.NAME, help=paragraphs(command.run.__doc__), epilog=command.EXAMPLES)(command.run)
app.add_typer(explain.app, name=explain.NAME)
app.add_typer(identity.app, name=identity.NAME)


def main() -> None:
    """The console script: runs a command, prints what went wrong as lines for a person, exits with the code."""
    try:
        app()
    except CommandError as failed:
        _say(failed)
        sys.exit(failed.code)
    except BrokenPipeError:
        # The reader went away (`injector … | head`); Python would complain once more while closing the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)


def _say(failed: CommandError) -> None:
    from injector.cli.terminal import note, one_line, styled

    for fault in failed.faults:
        note(styled(("error: ", "bold red"), one_line(fault)))
