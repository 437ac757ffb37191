"""What `injector controller` can be told: every field is a flag, every default is the one in the manifests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_ADMIN_PORT = 8080

# A CA that only ever signs one Service's certificate needs no long life, only one that outlasts a forgotten cluster:
# renewed after two thirds (8 months), a controller may be down for 4 months before anything expires.
DEFAULT_CA_LIFETIME = timedelta(days=365)
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
    log_level: str = "info"
    log_format: str = "json"
