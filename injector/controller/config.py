"""What `injector controller` can be told: every field is a flag, every default is the one in the manifests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

DEFAULT_ADMIN_PORT = 8080
DEFAULT_TOKEN_DIRECTORY = Path("/var/run/injector/token")
DEFAULT_IDENTITY_ADDRESS = "injector-identity.injector-system.svc:8443"

# A CA that only ever signs one Service's certificate needs no long life, only one that outlasts a forgotten cluster:
# renewed after two thirds (8 months), a controller may be down for 4 months before anything expires.
DEFAULT_CA_LIFETIME = timedelta(days=365)
# A root is in every pod's hands: replacing it is the longest work there is, so it is not to be due often. Replaced when
# a third of it is left, which is 3 years in which a controller may be down.
DEFAULT_ROOT_LIFETIME = timedelta(days=3650)
# Replaced after two thirds, 8 months.
DEFAULT_ISSUER_LIFETIME = timedelta(days=365)
# Renewed after 20 days; 10 days remain to notice a controller that cannot renew (the expiry is a metric).
DEFAULT_CERTIFICATE_LIFETIME = timedelta(days=30)
# How long a new CA has been seen in caBundle before a leaf signed by it is served. API servers follow the webhook
# configuration by watch, within a second; the minute covers one that is reconnecting its watch.
DEFAULT_PROPAGATION_DELAY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """Settings of one controller process.

    `installation` is the mounted settings file, parsed (with every fault at once) by `serve`. Without `kubeconfig`
    and `context` the pod's own ServiceAccount is used where there is one, else the user's kubeconfig.
    `identity` names this replica in the Lease; empty means the host name, which in a pod is the pod's name.
    `token_directory` holds `token` and `roots.pem`, with which the process gets its certificate from
    `identity_address`; it needs one only to ask discovery's replicas how far a rotation is.
    """

    installation: Path
    host: str = ""
    admin_port: int = DEFAULT_ADMIN_PORT
    system_namespace: str = "injector-system"
    kubeconfig: Path | None = None
    context: str | None = None
    identity: str = ""
    ca_lifetime: timedelta = DEFAULT_CA_LIFETIME
    certificate_lifetime: timedelta = DEFAULT_CERTIFICATE_LIFETIME
    propagation_delay: timedelta = DEFAULT_PROPAGATION_DELAY
    root_lifetime: timedelta = DEFAULT_ROOT_LIFETIME
    issuer_lifetime: timedelta = DEFAULT_ISSUER_LIFETIME
    token_directory: Path = DEFAULT_TOKEN_DIRECTORY
    identity_address: str = DEFAULT_IDENTITY_ADDRESS
    log_level: str = "info"
    log_format: str = "json"
