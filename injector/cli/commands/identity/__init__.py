"""`injector identity`: the mesh's roots, issuers and certificates, and the process that signs them."""

from typing import Final

import typer

from injector.cli.commands.identity import pod, roots, rotate, serve
from injector.cli.options import paragraphs

NAME: Final = "identity"

app = typer.Typer(
    name=NAME,
    help="Roots, issuers and certificates of the mesh.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
for command in (roots, rotate, pod, serve):
    app.command(name=command.NAME, help=paragraphs(command.run.__doc__), epilog=command.EXAMPLES)(command.run)
