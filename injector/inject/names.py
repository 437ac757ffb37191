"""Names and numbers that pods carry. Changing one changes what is compatible; each stands here once."""

from typing import Final

PREFIX: Final = "injector.mesh/"
INJECT: Final = PREFIX + "inject"
ENABLED: Final = "enabled"
DISABLED: Final = "disabled"

INIT_CONTAINER: Final = "injector-init"
PROXY_CONTAINER: Final = "injector-proxy"
CONTAINERS: Final = frozenset({INIT_CONTAINER, PROXY_CONTAINER})

IDENTITY_VOLUME: Final = "injector-identity"
TOKEN_VOLUME: Final = "injector-token"  # noqa: S105  a volume's name
VOLUMES: Final = frozenset({IDENTITY_VOLUME, TOKEN_VOLUME})
IDENTITY_MOUNT: Final = "/var/run/injector/identity"
TOKEN_MOUNT: Final = "/var/run/injector/token"  # noqa: S105  a path
TRUST_CONFIG_MAP: Final = "injector-mesh"
"""In every namespace with pods of the mesh, kept by the controller: whom to trust, and where the control plane is."""
ROOTS_KEY: Final = "roots.pem"
MESH_KEY: Final = "mesh.json"
TOKEN_AUDIENCE: Final = "identity.injector.mesh"  # noqa: S105  an audience

OUTBOUND_PORT: Final = 4140
INBOUND_PORT: Final = 4143
TAP_PORT: Final = 4190
ADMIN_PORT: Final = 4191
PROXY_PORTS: Final = frozenset({OUTBOUND_PORT, INBOUND_PORT, TAP_PORT, ADMIN_PORT})

PROXY_UID: Final = 2102

TRUST_DOMAIN: Final = "cluster.local"

SYSTEM_NAMESPACE: Final = "injector-system"
SYSTEM_NAMESPACES: Final = frozenset({SYSTEM_NAMESPACE, "kube-system"})
"""Namespaces that no webhook entry matches, whatever they are annotated with."""
