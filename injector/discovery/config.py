"""What `injector discovery` can be told: every field is a flag, every default is the one in the manifests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8443
DEFAULT_ADMIN_PORT = 8080
DEFAULT_IDENTITY_ADDRESS = "injector-identity.injector-system.svc:8443"
DEFAULT_TOKEN_DIRECTORY = Path("/var/run/injector/token")

# The longest that proxies may take to renew when a new issuer is wanted; fewer than 10,000 are given less.
DEFAULT_RENEW_WITHIN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """Settings of one discovery process.

    `installation` is the mounted settings file, parsed (with every fault at once) by `serve`. An empty `host` listens
    on every address of both families. Without `kubeconfig` and `context` the pod's own ServiceAccount is used where
    there is one, else the user's kubeconfig. `token_directory` holds `token` and `roots.pem`, with which the process
    gets its certificate from `identity_address`.
    """

    installation: Path
    host: str = ""
    port: int = DEFAULT_PORT
    admin_port: int = DEFAULT_ADMIN_PORT
    system_namespace: str = "injector-system"
    kubeconfig: Path | None = None
    context: str | None = None
    token_directory: Path = DEFAULT_TOKEN_DIRECTORY
    identity_address: str = DEFAULT_IDENTITY_ADDRESS
    renew_within_seconds: int = DEFAULT_RENEW_WITHIN_SECONDS
    log_level: str = "info"
    log_format: str = "json"
    # How long streams are still taken after SIGTERM: kube-proxy on every node must first hear that this replica is
    # going, by way of the EndpointSlice, which takes a second or two in a busy cluster.
    drain_delay_seconds: float = 5.0
    # Over how long the streams are ended then, so that their proxies do not arrive at the other replicas together.
    drain_seconds: float = 10.0
