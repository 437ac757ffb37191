"""`injector inject`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, NamespaceOption, examples, key_values
from injector.cli.outcome import CommandError, ExitCode
from injector.cli.transform import Output, QuietOption, RecursiveOption, SourcesArgument

if TYPE_CHECKING:
    from injector.cli.context import Context

NAME: Final = "inject"
EXAMPLES: Final = examples(
    "injector inject deployment.yaml | kubectl apply -f -",
    "injector inject --dry-run manifests/",
    "kubectl get deployment web -o yaml | injector inject -o patch -",
    "injector inject --namespace-annotation skip-outbound-ports=25 --dry-run https://example.com/app.yaml",
)

_PREVIEW: Final = "Whose settings"

AnnotationsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace-annotation",
        metavar="KEY=VALUE",
        help="A setting as if the namespace had it; `injector.mesh/` may be left out. Repeatable.",
        rich_help_panel=_PREVIEW,
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace-label",
        metavar="KEY=VALUE",
        help="A label as if the namespace had it, such as Pod Security's. Repeatable.",
        rich_help_panel=_PREVIEW,
    ),
]
InstallationOption = Annotated[
    Path | None,
    typer.Option(
        "--installation",
        help="installation.yaml, or output of `injector install`: its settings. [default: this version's]",
        rich_help_panel=_PREVIEW,
        dir_okay=False,
    ),
]
LiveOption = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Settings, and who is opted in, from the cluster: exactly what its webhook would do.",
        rich_help_panel=_PREVIEW,
    ),
]


def run(
    sources: SourcesArgument,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and the redirection rules in words.")
    ] = False,
    output: Annotated[
        Output | None, typer.Option("--output", "-o", help="`patch`: RFC 6902 operations. [default: yaml]")
    ] = None,
    recursive: RecursiveOption = False,
    quiet: QuietOption = False,
    namespace: NamespaceOption = None,
    namespace_annotation: AnnotationsOption = None,
    namespace_label: LabelsOption = None,
    installation: InstallationOption = None,
    live: LiveOption = False,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Print objects with the proxy already in their pods, as the webhook would put it there.

    Every workload is treated: Pod, Deployment, ReplicaSet, ReplicationController, StatefulSet, DaemonSet, Job, CronJob
    and Lists of them. All else passes unchanged, in its place. No cluster is needed, unless --live asks one;
    Namespaces among the objects lend their settings. If anything cannot be read, or a pod would be refused, nothing is
    printed but what is wrong.
    """
    from injector.cli.preview import inject_documents
    from injector.cli.sources import read_sources
    from injector.cli.transform import finish
    from injector.cli.workloads import DEFAULT_NAMESPACE

    offline = {
        "--namespace-annotation": namespace_annotation,
        "--namespace-label": namespace_label,
        "--installation": installation,
    }
    _refuse_contradictions(dry_run=dry_run, output=output, live=live, offline=offline)
    default_namespace = namespace or DEFAULT_NAMESPACE
    documents = read_sources(sources, recursive=recursive)
    settings: Context
    if live:
        from injector.cli.live import live_context

        settings = live_context(documents, default_namespace, kubeconfig, context)
    else:
        from injector.cli.context import offline_context

        annotations = key_values("--namespace-annotation", namespace_annotation)
        labels = key_values("--namespace-label", namespace_label)
        settings = offline_context(documents, installation, annotations=annotations, labels=labels)
    outcome = inject_documents(
        documents, settings.namespace_of, settings.installation, default_namespace, opted_in=settings.opted_in
    )
    finish(outcome, output or Output.YAML, settings, dry_run=dry_run, quiet=quiet)


def _refuse_contradictions(*, dry_run: bool, output: Output | None, live: bool, offline: Mapping[str, object]) -> None:
    faults = [f"--live and {option}: expected one of them" for option, value in offline.items() if live and value]
    if dry_run and output:
        faults.append(f"--dry-run and --output {output.value}: expected one of them")
    if faults:
        raise CommandError(*faults, code=ExitCode.USAGE)
