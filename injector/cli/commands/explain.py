"""`injector explain pod` and `injector explain namespace`."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import (
    ContextOption,
    KubeconfigOption,
    PodNamespaceOption,
    Report,
    ReportOption,
    examples,
    paragraphs,
)

if TYPE_CHECKING:
    from rich.text import Text

    from injector.cli.explain import NamespaceExplanation, PodExplanation, Setting
    from injector.kube.client import KubeClient

NAME: Final = "explain"
EXAMPLES: Final = examples(
    "injector explain pod web-7d4b9c -n shop",
    "injector explain namespace shop",
    "injector explain namespace shop -o json",
)

app = typer.Typer(
    name=NAME,
    help="Say why a pod or a namespace is, or is not, in the mesh, and what holds there.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_SHOWN_PODS: Final = 20
"""Pods that are listed by name for a person; JSON has them all."""


def run_pod(
    name: Annotated[str, typer.Argument(help="Name of the pod.", metavar="NAME")],
    *,
    namespace: PodNamespaceOption = None,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Say why a pod is or is not in the mesh.

    Its settings with where each comes from, what bypasses the mesh, the redirection rules in words, and what Pod
    Security says, all from the live cluster.
    """
    from injector.cli.cluster import in_cluster
    from injector.cli.explain import explain_pod
    from injector.cli.live import namespace_of, owner_of, read_installation
    from injector.cli.workloads import DEFAULT_NAMESPACE
    from injector.kube.resources import NAMESPACES, PODS

    where = namespace or DEFAULT_NAMESPACE

    async def read(kube: "KubeClient") -> tuple["PodExplanation", tuple[str, ...]]:
        pod = await kube.get(PODS, namespace=where, name=name)
        home = namespace_of(await kube.get(NAMESPACES, name=where))
        installation, notes = await read_installation(kube)
        return explain_pod(pod, home, installation, await owner_of(kube, pod)), notes

    explanation, notes = in_cluster(kubeconfig, context, read)
    _print(explanation, notes, output, _pod_lines(explanation))


def run_namespace(
    name: Annotated[str, typer.Argument(help="Name of the namespace.", metavar="NAME")],
    *,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Say whether a namespace is opted in, with what settings, and which of its pods are in the mesh."""
    from injector.cli.cluster import in_cluster
    from injector.cli.explain import explain_namespace
    from injector.cli.live import read_installation
    from injector.kube.resources import NAMESPACES, PODS

    async def read(kube: "KubeClient") -> tuple["NamespaceExplanation", tuple[str, ...]]:
        found = await kube.get(NAMESPACES, name=name)
        pods = [pod async for pod in kube.list(PODS, namespace=name)]
        installation, notes = await read_installation(kube)
        return explain_namespace(found, pods, installation), notes

    explanation, notes = in_cluster(kubeconfig, context, read)
    _print(explanation, notes, output, _namespace_lines(explanation))


app.command("pod", help=paragraphs(run_pod.__doc__), epilog=EXAMPLES)(run_pod)
app.command("namespace", help=paragraphs(run_namespace.__doc__), epilog=EXAMPLES)(run_namespace)


def _print(
    explanation: "PodExplanation | NamespaceExplanation",
    notes: tuple[str, ...],
    output: Report,
    lines: Iterator["Text | str"],
) -> None:
    from injector.cli.documents.write import to_json
    from injector.cli.terminal import emit, note, report

    for said in notes:
        note(f"note: {said}")
    if output is Report.JSON:
        emit(to_json(dataclasses.asdict(explanation)))
        return
    for line in lines:
        report(line)


def _pod_lines(it: "PodExplanation") -> Iterator["Text | str"]:
    from injector.cli.terminal import styled

    yield styled((f"Pod {it.namespace}/{it.name}", "bold"), f" of {it.workload}")
    if it.meshed and it.reason == "injected":
        yield styled(("✓ in the mesh", "bold green"))
    elif it.meshed:
        yield styled((f"! in the mesh, {it.reason}", "bold yellow"))
    elif it.wanted:
        yield styled((f"✗ not in the mesh, though it asks for it ({it.reason})", "bold red"))
    else:
        yield styled((f"- not in the mesh ({it.reason})", "bold"))
    yield from _listed("Why", it.because)
    if it.proxy:
        yield from _listed("Proxy", (it.proxy,))
    yield from _setting_lines(it.settings)
    yield from _listed("What bypasses the mesh", it.bypasses, empty="nothing" if it.settings else "")
    yield from _listed("Redirection, set by injector-init before anything else of the pod runs", it.redirection)
    yield from _listed("Warnings", it.warnings, style="yellow")


def _namespace_lines(it: "NamespaceExplanation") -> Iterator["Text | str"]:
    from injector.cli.checks.lines import count
    from injector.cli.terminal import styled

    yield styled((f"Namespace {it.name}", "bold"))
    yield styled(("✓ opted in", "bold green") if it.opted_in else ("- not opted in", "bold"))
    yield from _listed("Why", it.because)
    yield from _listed("Pod Security", (it.pod_security,) if it.pod_security else (), style="yellow")
    yield from _setting_lines(it.settings)
    yield from _listed("What bypasses the mesh", it.bypasses, empty="nothing")
    yield from _listed(f"{count(len(it.meshed_pods), 'pod')} in the mesh", _cut(list(it.meshed_pods)))
    yield from _listed(
        f"{count(len(it.other_pods), 'pod')} not in the mesh", _cut([f"{pod}: {why}" for pod, why in it.other_pods])
    )
    yield from _listed("Warnings", it.warnings, style="yellow")


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - _SHOWN_PODS
    return (*lines[:_SHOWN_PODS], *([f"and {more} more"] if more > 0 else []))


def _listed(title: str, lines: tuple[str, ...], *, empty: str = "", style: str = "") -> Iterator["Text"]:
    from injector.cli.terminal import styled

    if lines or empty:
        yield styled((f"  {title}", "bold"))
    for line in lines or ((empty,) if empty else ()):
        yield styled(("    " + line, style))


def _setting_lines(settings: tuple["Setting", ...]) -> Iterator["Text"]:
    from injector.cli.terminal import styled

    if settings:
        yield styled(("  Settings", "bold"))
    width = max((len(setting.name) for setting in settings), default=0)
    values = max((len(setting.value or "none") for setting in settings), default=0)
    for setting in settings:
        origin = "" if setting.origin == "default" else "bold cyan"
        yield styled(
            f"    {setting.name:{width}}  {setting.value or 'none':{min(values, 40)}}  ",
            (f"from the {setting.origin}", origin),
        )
