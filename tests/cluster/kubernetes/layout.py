"""Where a cluster keeps its things, what they are called, and its address plan. Nothing here touches the machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_STATE = "/tmp/injector-cluster"
STATE_VARIABLE = "INJECTOR_CLUSTER_DIR"
CACHE_VARIABLE = "INJECTOR_CACHE_DIR"

# Dual stack. Each cluster lives in namespaces of its own, so that two clusters may use the same addresses.
SERVICE_CIDRS = "10.96.0.0/16,fd00:96::/112"
POD_CIDRS = "10.244.0.0/16,fd00:244::/48"
API_SERVICE = "10.96.0.1"  # the first address of the Service range: what `kubernetes.default` resolves to
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443

# A /24 a node gives 254 pod addresses; 240 pods leave some for pods that are ending while their successors start.
POD_MASK_V4, POD_MASK_V6 = 24, 64
MAX_PODS = 240
# Nodes are 172.30.0.N: more than a handful of kubelets do not fit into one machine anyway.
MAX_NODES = 9


@dataclass(frozen=True)
class Node:
    """One node, by its number from 1; node 1 also carries the control plane and DNS."""

    number: int

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def v4(self) -> str:
        return f"172.30.0.{self.number}"

    @property
    def v6(self) -> str:
        return f"fd00:30::{self.number}"

    @property
    def zone(self) -> str:
        return f"zone-{self.number}"


FIRST = Node(1)


@dataclass(frozen=True)
class Layout:
    """The names and paths of one cluster. `state` is forgotten by `down`; `cache` (built binaries) outlives it."""

    state: Path
    cache: Path

    @classmethod
    def from_environment(cls) -> Layout:
        """The cluster that INJECTOR_CLUSTER_DIR names, else the default one."""
        caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(
            state=Path(os.environ.get(STATE_VARIABLE) or DEFAULT_STATE).absolute(),
            cache=Path(os.environ.get(CACHE_VARIABLE) or f"{caches}/injector-cluster").absolute(),
        )

    @property
    def name(self) -> str:
        """Prefix of all that is machine-wide (network namespaces, cgroups), so that clusters never meet."""
        return f"{self.state.name}-{hashlib.sha256(str(self.state).encode()).hexdigest()[:4]}"

    # --- network namespaces
    @property
    def fabric(self) -> str:
        """The namespace that holds nothing but the bridge between the nodes."""
        return f"{self.name}-fabric"

    def namespace(self, node: Node) -> str:
        return f"{self.name}-{node.name}"

    # --- directories and files
    @property
    def binaries(self) -> Path:
        return self.cache / "bin"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def lock(self) -> Path:
        """Outside `state`, which `down` removes while holding it."""
        return Path("/run/lock") / f"{self.name}.lock"

    def home(self, node: Node) -> Path:
        return self.state / node.name

    def containerd(self, node: Node) -> Path:
        """The socket of a node's containerd."""
        return self.home(node) / "containerd.sock"

    def existing_nodes(self) -> list[Node]:
        """The nodes that an earlier `up` began, in order."""
        return [node for node in map(Node, range(1, MAX_NODES + 1)) if self.home(node).is_dir()]
