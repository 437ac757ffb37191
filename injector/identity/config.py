"""What `injector identity serve` can be told: every field is a flag, every default is the one in the manifests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 8443
DEFAULT_ADMIN_PORT = 8080
# A day: a stolen key is worth that long and no longer. Renewed after 8 hours, a pod goes on for 16 without us.
DEFAULT_CERTIFICATE_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """Settings of one identity process.

    `installation` is the mounted settings file, parsed (with every fault at once) by `serve`. An empty `host` listens
    on every address of both families. Without `kubeconfig` and `context` the pod's own ServiceAccount is used where
    there is one, else the user's kubeconfig. `identity` names this replica in the Lease; empty means the host name.
    """

    installation: Path
    host: str = ""
    port: int = DEFAULT_PORT
    admin_port: int = DEFAULT_ADMIN_PORT
    system_namespace: str = "injector-system"
    kubeconfig: Path | None = None
    context: str | None = None
    identity: str = ""
    certificate_lifetime: timedelta = DEFAULT_CERTIFICATE_LIFETIME
    log_level: str = "info"
    log_format: str = "json"
    # How long calls are still taken after SIGTERM: kube-proxy on every node must first hear that this replica is going.
    drain_delay_seconds: float = 5.0
