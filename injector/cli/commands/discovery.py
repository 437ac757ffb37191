"""`injector discovery`."""

from pathlib import Path
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
from injector.discovery.config import (
    DEFAULT_ADMIN_PORT,
    DEFAULT_IDENTITY_ADDRESS,
    DEFAULT_PORT,
    DEFAULT_RENEW_WITHIN_SECONDS,
    DEFAULT_TOKEN_DIRECTORY,
    DiscoveryConfig,
)

NAME: Final = "discovery"
EXAMPLES: Final = examples(
    "injector discovery --installation /etc/injector/installation.yaml",
    "injector discovery --installation installation.yaml --context dev --token-directory token --log-format text",
)

PortOption = Annotated[int, typer.Option(help="gRPC port of the proxies' streams.", min=1, max=65535)]
AdminPortOption = Annotated[int, typer.Option(help="Port of /livez, /readyz and /metrics.", min=1, max=65535)]
TokenDirectoryOption = Annotated[
    Path, typer.Option(help="Holds `token` and `roots.pem`, with which the process gets its certificate.")
]
IdentityAddressOption = Annotated[str, typer.Option(help="Where the issuer of certificates is, HOST:PORT.")]
RenewWithinOption = Annotated[
    int, typer.Option(help="The longest that proxies may take to renew when another issuer is wanted.", min=1)
]
DrainDelayOption = Annotated[float, typer.Option(help="How long streams are still taken after SIGTERM.", min=0)]
DrainOption = Annotated[float, typer.Option(help="Over how long open streams are ended then.", min=0)]


def run(
    *,
    installation: InstallationOption,
    host: HostOption = "",
    port: PortOption = DEFAULT_PORT,
    admin_port: AdminPortOption = DEFAULT_ADMIN_PORT,
    system_namespace: SystemNamespaceOption = "injector-system",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    token_directory: TokenDirectoryOption = DEFAULT_TOKEN_DIRECTORY,
    identity_address: IdentityAddressOption = DEFAULT_IDENTITY_ADDRESS,
    renew_within_seconds: RenewWithinOption = DEFAULT_RENEW_WITHIN_SECONDS,
    log_level: LogLevelOption = LogLevel.INFO,
    log_format: LogFormatOption = LogFormat.JSON,
    drain_delay_seconds: DrainDelayOption = 5.0,
    drain_seconds: DrainOption = 10.0,
) -> None:
    """Tell every proxy where its connections go and who is there (this runs in the cluster).

    In a pod its ServiceAccount is used, elsewhere the kubeconfig. SIGTERM ends the streams one by one and exits 0.
    """
    config = DiscoveryConfig(
        installation=installation,
        host=host,
        port=port,
        admin_port=admin_port,
        system_namespace=system_namespace,
        kubeconfig=kubeconfig,
        context=context,
        token_directory=token_directory,
        identity_address=identity_address,
        renew_within_seconds=renew_within_seconds,
        log_level=log_level.value,
        log_format=log_format.value,
        drain_delay_seconds=drain_delay_seconds,
        drain_seconds=drain_seconds,
    )
    from injector.discovery.serve import serve

    serve_until_told(lambda: serve(config))
