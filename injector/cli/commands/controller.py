"""`injector controller`."""

from datetime import timedelta
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
from injector.controller.config import (
    DEFAULT_ADMIN_PORT,
    DEFAULT_CA_LIFETIME,
    DEFAULT_CERTIFICATE_LIFETIME,
    DEFAULT_IDENTITY_ADDRESS,
    DEFAULT_ISSUER_LIFETIME,
    DEFAULT_PROPAGATION_DELAY,
    DEFAULT_ROOT_LIFETIME,
    DEFAULT_TOKEN_DIRECTORY,
    ControllerConfig,
)

NAME: Final = "controller"
EXAMPLES: Final = examples(
    "injector controller --installation /etc/injector/installation.yaml",
    "injector controller --installation installation.yaml --context dev --identity me --log-format text",
)

_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)

AdminPortOption = Annotated[int, typer.Option(help="Port of /livez, /readyz and /metrics.", min=1, max=65535)]
IdentityOption = Annotated[str, typer.Option(help="Name of this replica in the Lease; empty for the host's name.")]
CaLifetimeOption = Annotated[float, typer.Option(help="Life of the webhook's CA; renewed after two thirds.", min=0.01)]
CertificateLifetimeOption = Annotated[
    float, typer.Option(help="Life of the webhook's certificate; renewed after two thirds.", min=0.01)
]
PropagationDelayOption = Annotated[
    float,
    typer.Option(help="How long a new CA or root stands where it is trusted before it signs what is served.", min=0),
]
RootLifetimeOption = Annotated[
    float, typer.Option(help="Life of the mesh's root; replaced when a third of it is left.", min=0.01)
]
IssuerLifetimeOption = Annotated[
    float, typer.Option(help="Life of the mesh's issuer; replaced when a third of it is left.", min=0.01)
]
TokenDirectoryOption = Annotated[
    Path, typer.Option(help="Where the pod's token and roots.pem are, for the controller's own certificate.")
]
IdentityAddressOption = Annotated[str, typer.Option(help="Who gives the controller its own certificate.")]


def run(
    *,
    installation: InstallationOption,
    host: HostOption = "",
    admin_port: AdminPortOption = DEFAULT_ADMIN_PORT,
    system_namespace: SystemNamespaceOption = "injector-system",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    identity: IdentityOption = "",
    ca_lifetime_hours: CaLifetimeOption = DEFAULT_CA_LIFETIME / _HOUR,
    certificate_lifetime_hours: CertificateLifetimeOption = DEFAULT_CERTIFICATE_LIFETIME / _HOUR,
    propagation_delay_seconds: PropagationDelayOption = DEFAULT_PROPAGATION_DELAY / _SECOND,
    root_lifetime_hours: RootLifetimeOption = DEFAULT_ROOT_LIFETIME / _HOUR,
    issuer_lifetime_hours: IssuerLifetimeOption = DEFAULT_ISSUER_LIFETIME / _HOUR,
    token_directory: TokenDirectoryOption = DEFAULT_TOKEN_DIRECTORY,
    identity_address: IdentityAddressOption = DEFAULT_IDENTITY_ADDRESS,
    log_level: LogLevelOption = LogLevel.INFO,
    log_format: LogFormatOption = LogFormat.JSON,
) -> None:
    """Keep the webhook's certificates and the mesh's roots, and find opted-in pods without a proxy (this runs in the
    cluster).

    Replicas agree by a Lease on who works. In a pod its ServiceAccount is used, elsewhere the kubeconfig.
    """
    config = ControllerConfig(
        installation=installation,
        host=host,
        admin_port=admin_port,
        system_namespace=system_namespace,
        kubeconfig=kubeconfig,
        context=context,
        identity=identity,
        ca_lifetime=timedelta(hours=ca_lifetime_hours),
        certificate_lifetime=timedelta(hours=certificate_lifetime_hours),
        propagation_delay=timedelta(seconds=propagation_delay_seconds),
        root_lifetime=timedelta(hours=root_lifetime_hours),
        issuer_lifetime=timedelta(hours=issuer_lifetime_hours),
        token_directory=token_directory,
        identity_address=identity_address,
        log_level=log_level.value,
        log_format=log_format.value,
    )
    from injector.controller.serve import serve

    serve_until_told(lambda: serve(config))
