"""`injector webhook`."""

from typing import Annotated, Final

import typer

from injector.cli.options import ContextOption, KubeconfigOption, examples
from injector.cli.servers import (
    HostOption,
    InstallationOption,
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    SystemNamespaceOption,
    serve_until_told,
)
from injector.webhook.config import DEFAULT_ADMIN_PORT, DEFAULT_PORT, WebhookConfig

NAME: Final = "webhook"
EXAMPLES: Final = examples(
    "injector webhook --installation /etc/injector/installation.yaml",
    "injector webhook --installation installation.yaml --context dev --log-format text --log-level debug",
)

PortOption = Annotated[int, typer.Option(help="HTTPS port of the reviews.", min=1, max=65535)]
AdminPortOption = Annotated[int, typer.Option(help="Port of /livez, /readyz and /metrics.", min=1, max=65535)]
DrainOption = Annotated[float, typer.Option(help="How long reviews are still taken after SIGTERM.", min=0)]


def run(
    *,
    installation: InstallationOption,
    host: HostOption = "",
    port: PortOption = DEFAULT_PORT,
    admin_port: AdminPortOption = DEFAULT_ADMIN_PORT,
    system_namespace: SystemNamespaceOption = "injector-system",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    log_level: LogLevelOption = LogLevel.INFO,
    log_format: LogFormatOption = LogFormat.JSON,
    drain_delay_seconds: DrainOption = 5.0,
) -> None:
    """Serve the API server's admission reviews (this runs in the cluster).

    In a pod its ServiceAccount is used, elsewhere the kubeconfig. SIGTERM drains and exits 0.
    """
    config = WebhookConfig(
        installation=installation,
        host=host,
        port=port,
        admin_port=admin_port,
        system_namespace=system_namespace,
        kubeconfig=kubeconfig,
        context=context,
        log_level=log_level.value,
        log_format=log_format.value,
        drain_delay_seconds=drain_delay_seconds,
    )
    from injector.webhook.serve import serve

    serve_until_told(lambda: serve(config))
