"""`injector check`."""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, Report, ReportOption, duration, examples
from injector.cli.outcome import CommandError, ExitCode

if TYPE_CHECKING:
    from rich.text import Text

    from injector.cli.checks.lines import Line, Section

NAME: Final = "check"
EXAMPLES: Final = examples(
    "injector check",
    "injector check -o json --fail-within 30d",
    "injector check --proxy",
    "injector check --probe-namespace shop",
)

_UNREACHABLE: Final = (
    "is the right cluster chosen? kubectl config get-contexts; injector check --context NAME",
    "does it answer at all? kubectl version",
)


def run(
    *,
    output: ReportOption = Report.TEXT,
    probe_namespace: Annotated[
        str, typer.Option(help="Where a pod is tried with a dry run; nothing is created.")
    ] = "default",
    fail_within: Annotated[
        datetime.timedelta | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="Roots and issuers that end sooner are bad, such as 30d."
        ),
    ] = None,
    proxy: Annotated[
        bool, typer.Option("--proxy", help="Only list the meshed pods by their proxy's version, and how to renew them.")
    ] = False,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Look at the whole mesh, and say of each part whether it is well and what to do if not.

    The API server, the webhook configuration and its certificates, the control plane, a real review by a dry run (which
    tells a firewall from a certificate from a NetworkPolicy), namespaces and pods that asked for the mesh, and what
    bypasses it. It changes nothing. Exit code 0 where nothing is marked ✗, 1 where something is, 3 without a cluster.
    """
    from injector.cli.checks import control_plane, members, versions
    from injector.cli.checks.facts import read_facts
    from injector.cli.checks.lines import Section, all_good, bad
    from injector.cli.cluster import in_cluster
    from injector.cli.documents.write import to_json
    from injector.cli.terminal import emit, report

    code = ExitCode.FAILED
    try:
        facts = in_cluster(kubeconfig, context, lambda kube: read_facts(kube, probe_namespace))
    except CommandError as failed:
        code = failed.code
        found = [Section("Kubernetes", tuple(bad(fault, *_UNREACHABLE) for fault in failed.faults))]
    else:
        now = datetime.datetime.now(datetime.UTC)
        within = fail_within or datetime.timedelta(0)
        found = [*control_plane.sections(facts, now, within), *members.sections(facts)]
        found = list(versions.sections(facts)) if proxy else found
    if output is Report.JSON:
        emit(to_json({"ok": all_good(found), "sections": [dataclasses.asdict(section) for section in found]}))
    else:
        for section in found:
            for line in _section_lines(section):
                report(line)
    if not all_good(found):
        raise typer.Exit(code)


def _section_lines(section: "Section") -> Iterator["Text | str"]:
    from injector.cli.terminal import styled

    yield styled((section.title, "bold"))
    for line in section.lines:
        yield from _line(line)
    yield ""


def _line(line: "Line") -> Iterator["Text"]:
    from injector.cli.checks.lines import Status
    from injector.cli.terminal import styled

    mark, style = {
        Status.GOOD: ("✓", "bold green"),
        Status.BAD: ("✗", "bold red"),
        Status.NOTE: ("!", "bold yellow"),
    }[line.status]
    yield styled(("  " + mark, style), " " + line.text)
    for detail in line.details:
        yield styled((f"      {detail}", "dim"))
    for step in line.remedy:
        yield styled(("    → ", "bold cyan"), step)
