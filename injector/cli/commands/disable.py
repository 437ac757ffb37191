"""`injector disable`."""

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

NAME: Final = "disable"
EXAMPLES: Final = examples("injector disable shop", "injector disable shop --restart")


def run(
    namespace: NamespaceArgument,
    *,
    restart: RestartOption = False,
    output: ReportOption = Report.TEXT,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Take a namespace out: pods that are made from now on get no proxy.

    It removes the annotation with your own rights. Pods that run already keep their proxies until they are replaced;
    --restart does that for Deployments, StatefulSets and DaemonSets, a rolling update each, and waits.
    """
    from injector.cli.adoption import set_word

    set_word(namespace, None, restart=restart, output=output, kubeconfig=kubeconfig, context=context)
