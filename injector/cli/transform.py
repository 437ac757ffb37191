"""What `inject` and `uninject` share: their options, and how documents and changes are printed."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from injector.cli.outcome import CommandError

if TYPE_CHECKING:
    from rich.text import Text

    from injector.cli.context import Context
    from injector.cli.preview import Change, Outcome

SourcesArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(help="Files, directories, http(s) addresses; - for standard input.", metavar="FILE|DIR|URL|-..."),
]
RecursiveOption: TypeAlias = Annotated[bool, typer.Option("--recursive", "-R", help="Read directories below as well.")]
QuietOption: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", help="No word on standard error about what was done to each workload.")
]


class Output(StrEnum):
    """What is printed of changed documents."""

    YAML = "yaml"
    JSON = "json"
    PATCH = "patch"


def finish(outcome: "Outcome", output: Output, context: "Context | None", *, dry_run: bool, quiet: bool) -> None:
    """Prints the documents, or with `dry_run` the changes; ends the command where the outcome has faults."""
    from injector.cli.terminal import emit, note, show

    if outcome.faults:
        raise CommandError(*map(str, outcome.faults))
    if not outcome.changes and not quiet:
        note("note: no workload here, so nothing changes")
    for said in context.notes if context else ():
        note(f"note: {said}")
    if dry_run:
        for change in outcome.changes:
            for line in _change_lines(change, context):
                show(line)
        return
    emit(_text(outcome, output))
    if not quiet:
        for change in outcome.changes:
            note(_verdict(change))
            for warning in _warnings(change):
                note(f"  warning: {warning}")


def _text(outcome: "Outcome", output: Output) -> str:
    from injector.cli.documents.write import join, to_json

    if output is Output.YAML:
        return join([document.text for document in outcome.documents])
    if output is Output.JSON:
        return "".join(to_json(document.value) for document in outcome.documents if document.value is not None)
    patches = [
        {
            "kind": change.place.workload.kind,
            "namespace": change.place.namespace,
            "name": change.place.workload.name,
            "operations": change.operations,
        }
        for change in outcome.changes
    ]
    return json.dumps(patches, indent=2, ensure_ascii=False) + "\n"


def _verdict(change: "Change") -> str:
    from injector.inject.review import Skipped

    if isinstance(change.review, Skipped):
        return f"- {change.place}: unchanged, {change.review.reason.sentence} ({change.review.reason})"
    if change.review is None:
        done = "taken out of the mesh" if change.changed else "unchanged, it has nothing of the mesh"
        return f"✓ {change.place}: {done}"
    return f"✓ {change.place}: injected"


def _warnings(change: "Change") -> tuple[str, ...]:
    from injector.cli.answers import further_warnings

    return further_warnings(change.review) if change.review else ()


def _change_lines(change: "Change", context: "Context | None") -> Iterator["Text | str"]:
    from injector.cli.diff import diff
    from injector.cli.terminal import styled
    from injector.inject.review import Injected

    yield styled((_verdict(change), "bold"))
    for line, style in diff({"spec": change.place.pod["spec"]}, {"spec": change.spec}):
        yield styled(("  " + line, style))
    if isinstance(change.review, Injected) and context:
        from injector.inject.redirect import describe

        yield styled(("  Redirection, set by injector-init before anything else of the pod runs:", "bold"))
        for sentence in describe(change.review.settings, proxy_uid=context.installation.proxy_uid):
            yield styled(f"    {sentence}")
        if bypasses := change.review.settings.bypasses():
            yield styled(("  What bypasses the mesh:", "bold yellow"))
            for sentence in bypasses:
                yield styled(f"    {sentence}")
    for warning in _warnings(change):
        yield styled(("  warning: ", "yellow"), warning)
    yield ""
