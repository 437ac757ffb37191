"""`injector identity roots`."""

import datetime
from typing import TYPE_CHECKING, Final

from injector.cli.options import ContextOption, KubeconfigOption, Report, ReportOption, examples

if TYPE_CHECKING:
    from injector.inject.model import Json
    from injector.kube.client import KubeClient

NAME: Final = "roots"
EXAMPLES: Final = examples("injector identity roots", "injector identity roots -o json")


def run(
    *,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Show the roots that the mesh trusts and the issuer under them, how old they are, and what is being rotated.

    It reads ConfigMap injector-system/injector-identity, which the controller keeps and which holds nothing secret.
    """
    from injector.cli import identity
    from injector.cli.cluster import in_cluster
    from injector.cli.terminal import emit, note, show
    from injector.inject.names import SYSTEM_NAMESPACE
    from injector.kube.resources import CONFIG_MAPS

    async def read(kube: "KubeClient") -> "Json":
        return await kube.get(CONFIG_MAPS, namespace=SYSTEM_NAMESPACE, name=identity.PUBLISHED)

    published = in_cluster(kubeconfig, context, read)
    state = identity.read_state(published)
    if output is Report.JSON:
        emit(published["data"][identity.STATE_KEY])
        return
    rows = identity.certificate_table(state, datetime.datetime.now(datetime.UTC))
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    for row in rows:
        show("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if state.given:
        show("root and issuer are given by you: the mesh passes them on, and you renew them")
    if state.rotation is not None:
        for line in identity.rotation_lines(state.rotation):
            show(line)
    for fault in state.faults:
        note(f"! {fault}")
