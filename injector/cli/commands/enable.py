"""`injector enable`."""

from typing import Final

from injector.cli.options import (
    ContextOption,
    KubeconfigOption,
    NamespaceArgument,
    Report,
    ReportOption,
    RestartOption,
    examples,
)
from injector.inject.names import ENABLED

NAME: Final = "enable"
EXAMPLES: Final = examples("injector enable shop", "injector enable shop --restart")


def run(
    namespace: NamespaceArgument,
    *,
    restart: RestartOption = False,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Opt a namespace in: pods that are made from now on get a proxy.

    It annotates the namespace with your own rights. Pods that run already stay as they are until they are replaced;
    --restart does that for Deployments, StatefulSets and DaemonSets, a rolling update each, and waits.
    """
    from injector.cli.adoption import set_word

    set_word(namespace, ENABLED, restart=restart, output=output, kubeconfig=kubeconfig, context=context)
