"""`injector identity serve`."""

from datetime import timedelta
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
from injector.identity.config import (
    DEFAULT_ADMIN_PORT,
    DEFAULT_CERTIFICATE_LIFETIME,
    DEFAULT_PORT,
    IdentityConfig,
)

NAME: Final = "serve"
EXAMPLES: Final = examples(
    "injector identity serve --installation /etc/injector/installation.yaml",
    "injector identity serve --installation installation.yaml --context dev --identity me --log-format text",
)

_HOUR: Final = timedelta(hours=1)

PortOption = Annotated[int, typer.Option(help="gRPC port at which pods ask for certificates.", min=1, max=65535)]
AdminPortOption = Annotated[int, typer.Option(help="Port of /livez, /readyz and /metrics.", min=1, max=65535)]
IdentityOption = Annotated[str, typer.Option(help="Name of this replica in the Lease; empty for the host's name.")]
LifetimeOption = Annotated[
    float, typer.Option(help="Life of a pod's certificate; renewed after a third.", min=0.01, max=24 * 30)
]
DrainDelayOption = Annotated[float, typer.Option(help="How long calls are still taken after SIGTERM.", min=0)]


def run(
    *,
    installation: InstallationOption,
    host: HostOption = "",
    port: PortOption = DEFAULT_PORT,
    admin_port: AdminPortOption = DEFAULT_ADMIN_PORT,
    system_namespace: SystemNamespaceOption = "injector-system",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    identity: IdentityOption = "",
    certificate_lifetime_hours: LifetimeOption = DEFAULT_CERTIFICATE_LIFETIME / _HOUR,
    log_level: LogLevelOption = LogLevel.INFO,
    log_format: LogFormatOption = LogFormat.JSON,
    drain_delay_seconds: DrainDelayOption = 5.0,
) -> None:
    """Give pods their certificates, by their ServiceAccount tokens (this runs in the cluster).

    Replicas share the issuer's key by a Secret, and agree by a Lease on who keeps it. In a pod its ServiceAccount is
    used, elsewhere the kubeconfig.
    """
    config = IdentityConfig(
        installation=installation,
        host=host,
        port=port,
        admin_port=admin_port,
        system_namespace=system_namespace,
        kubeconfig=kubeconfig,
        context=context,
        identity=identity,
        certificate_lifetime=timedelta(hours=certificate_lifetime_hours),
        log_level=log_level.value,
        log_format=log_format.value,
        drain_delay_seconds=drain_delay_seconds,
    )
    from injector.identity.serve import serve

    serve_until_told(lambda: serve(config))
