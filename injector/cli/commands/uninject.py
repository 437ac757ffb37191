"""`injector uninject`."""

from typing import Annotated, Final

import typer

from injector.cli.options import NamespaceOption, examples
from injector.cli.outcome import CommandError, ExitCode
from injector.cli.transform import Output, QuietOption, RecursiveOption, SourcesArgument

NAME: Final = "uninject"
EXAMPLES: Final = examples(
    "injector uninject deployment.yaml | kubectl apply -f -",
    "kubectl get deployment web -o yaml | injector uninject --dry-run -",
)


def run(
    sources: SourcesArgument,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change.")] = False,
    output: Annotated[
        Output | None,
        typer.Option("--output", "-o", help="`patch`: RFC 6902 operations. [default: yaml]"),
    ] = None,
    recursive: RecursiveOption = False,
    quiet: QuietOption = False,
    namespace: NamespaceOption = None,
) -> None:
    """Print objects without anything of the mesh's in their pods, probes as they were.

    The inverse of `injector inject`, for the same kinds of objects. All else passes unchanged, in its place.
    """
    from injector.cli.preview import uninject_documents
    from injector.cli.sources import read_sources
    from injector.cli.transform import finish
    from injector.cli.workloads import DEFAULT_NAMESPACE

    if dry_run and output:
        raise CommandError(f"--dry-run and --output {output.value}: expected one of them", code=ExitCode.USAGE)
    documents = read_sources(sources, recursive=recursive)
    outcome = uninject_documents(documents, namespace or DEFAULT_NAMESPACE)
    finish(outcome, output or Output.YAML, None, dry_run=dry_run, quiet=quiet)
