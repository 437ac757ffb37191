"""`injector uninstall`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, examples
from injector.cli.outcome import CommandError

if TYPE_CHECKING:
    from injector.kube.client import KubeClient

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
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Remove the mesh from the cluster.

    It refuses, and lists them, while pods with a proxy run: `injector disable NAMESPACE --restart` takes them out. The
    webhook configuration goes first, so that at no moment a pod waits for a webhook that is gone. Annotations stay.
    """
    from injector.cli.checks.lines import count
    from injector.cli.cluster import in_cluster
    from injector.cli.removal import meshed_pods, removal_order, remove
    from injector.cli.terminal import note, show

    async def uninstall(kube: "KubeClient") -> None:
        meshed = [] if force else await meshed_pods(kube)
        if meshed and not dry_run:
            more = [f"and {len(meshed) - _LISTED} more"] if len(meshed) > _LISTED else []
            advice = "take them out with `injector disable NAMESPACE --restart`, or leave them as they are with --force"
            raise CommandError(f"{count(len(meshed), 'pod')} with a proxy; {advice}", *meshed[:_LISTED], *more)
        if meshed:
            note(f"would refuse: {count(len(meshed), 'pod')} with a proxy")
        for resource, name in removal_order():
            if dry_run:
                show(f"{resource.kind} {name}")
            elif await remove(kube, resource, name):
                show(f"✓ {resource.kind} {name} deleted")

    in_cluster(kubeconfig, context, uninstall)
