"""What `injector webhook` can be told: every field is a flag, every default is the one in the manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 8443
DEFAULT_ADMIN_PORT = 8080


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Settings of one webhook process.

    `installation` is the mounted settings file, parsed (with every fault at once) by `serve`. An empty
    `host` listens on every address of both families. Without `kubeconfig` and `context` the pod's own
    ServiceAccount is used where there is one, else the user's kubeconfig.
    """

    installation: Path
    host: str = ""
    port: int = DEFAULT_PORT
    admin_port: int = DEFAULT_ADMIN_PORT
    system_namespace: str = "injector-system"
    kubeconfig: Path | None = None
    context: str | None = None
    log_level: str = "info"
    log_format: str = "json"
    # How long the process keeps accepting after SIGTERM. kube-proxy on every node must first hear, by way of the
    # EndpointSlice, that this replica is going; that takes a second or two in a busy cluster.
    drain_delay_seconds: float = 5.0
