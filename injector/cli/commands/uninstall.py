"""`injector uninstall`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, Report, ReportOption, examples
from injector.cli.outcome import CommandError

if TYPE_CHECKING:
    from injector.kube.client import KubeClient
    from injector.kube.resources import Resource

NAME: Final = "uninstall"
EXAMPLES: Final = examples("injector uninstall", "injector uninstall --dry-run", "injector uninstall --force")

_LISTED: Final = 30
"""Meshed pods that a refusal names; whoever has more goes namespace by namespace anyway."""

ForceOption = Annotated[bool, typer.Option("--force", help="Even while pods with a proxy run; they go on as they are.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be deleted, in order, and delete nothing.")
]


def run(
    *,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Remove the mesh from the cluster.

    It refuses, and lists them, while pods with a proxy run: `injector disable NAMESPACE --restart` takes them out. The
    webhook configuration goes first, so that at no moment a pod waits for a webhook that is gone. Annotations stay.
    With --force, namespaces of such pods keep their ConfigMap injector-mesh, too.
    """
    from injector.cli.checks.lines import count
    from injector.cli.cluster import in_cluster
    from injector.cli.documents.write import to_json
    from injector.cli.removal import copies_of_roots, meshed_pods, removal_order, remove
    from injector.cli.terminal import emit, note, show
    from injector.inject.names import TRUST_CONFIG_MAP
    from injector.kube.resources import CONFIG_MAPS

    told: list[str] = []

    async def delete(kube: "KubeClient", resource: "Resource", name: str, namespace: str | None = None) -> None:
        what = f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
        if dry_run or await remove(kube, resource, name, namespace):
            told.append(what)
            if output is Report.TEXT:
                show(what if dry_run else f"✓ {what} deleted")

    async def uninstall(kube: "KubeClient") -> None:
        meshed = await meshed_pods(kube)
        if meshed and not dry_run and not force:
            more = [f"and {len(meshed) - _LISTED} more"] if len(meshed) > _LISTED else []
            advice = "take them out with `injector disable NAMESPACE --restart`, or leave them as they are with --force"
            raise CommandError(f"{count(len(meshed), 'pod')} with a proxy; {advice}", *meshed[:_LISTED], *more)
        if meshed and not force:
            note(f"would refuse: {count(len(meshed), 'pod')} with a proxy")
        *first, last = removal_order()
        for resource, name in first:
            await delete(kube, resource, name)
        for namespace in await copies_of_roots(kube, meshed):
            await delete(kube, CONFIG_MAPS, TRUST_CONFIG_MAP, namespace)
        await delete(kube, *last)

    in_cluster(kubeconfig, context, uninstall)
    if output is Report.JSON:
        emit(to_json({"dry_run": dry_run, "deleted": told}))
