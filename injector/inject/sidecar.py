"""What a pod is given: two containers first among its init containers, and two volumes.

Every field that the API server would fill in is written out (core/v1 defaults), so that a pod that comes back from it
compares equal to what was added.
"""

from typing import Any, Final

from injector.inject import ports, redirect
from injector.inject.installation import Installation
from injector.inject.model import Json, Workload
from injector.inject.names import (
    ADMIN_PORT,
    IDENTITY_MOUNT,
    IDENTITY_VOLUME,
    INIT_CONTAINER,
    MESH_KEY,
    PROXY_CONTAINER,
    ROOTS_KEY,
    TOKEN_AUDIENCE,
    TOKEN_MOUNT,
    TOKEN_VOLUME,
    TRUST_CONFIG_MAP,
)
from injector.inject.resources import proxy_resources, workers
from injector.inject.settings import Settings

TOKEN_SECONDS: Final = 3600
"""A token proves who the pod is once, at the issuer; the kubelet renews it at 80 % of the hour."""

IDENTITY_SIZE: Final = "4Mi"
"""Key and chain are below 8 KiB; what is known of destinations, kept for a restart, is below 2 MiB, and stands there
twice while it is replaced. Memory volumes count against the pod's limit."""

AWAIT: Final = ("/usr/local/bin/injector-proxy", "await")
"""The sidecar's postStart hook: returns once the proxy is ready, or after a minute with the reason, which the kubelet
puts into an Event. The kubelet starts the pod's next container only when the hook has returned. A startupProbe would
hold it back too, and for 1.3 s longer: it is first tried before the container runs, then once a second, and its success
is acted upon at the kubelet's next look at the node (PLEG, 1 s)."""

LIVENESS_FAILURES: Final = 6
"""At one probe in 10 s: a proxy that answers nothing for a minute is stuck, not busy."""

API_TOKEN_MOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a path
"""Where the ServiceAccount admission plugin mounts the API token into every container that mounts nothing there. It
runs again after us; a mount of ours keeps the application's token out of our containers."""


def init_container(spec: Json, settings: Settings, installation: Installation) -> Json:
    """`injector-init`: applies the redirection rules and ends. The only privileged step, and this is all it is told."""
    uid = installation.proxy_uid
    env = [
        _env("INJECTOR_IPTABLES_RULES", redirect.rules(settings, "v4", proxy_uid=uid)),
        _env("INJECTOR_IP6TABLES_RULES", redirect.rules(settings, "v6", proxy_uid=uid)),
    ]
    security = _security(user=0, add=["NET_ADMIN", "NET_RAW"])
    mounts = [_mount(IDENTITY_VOLUME, API_TOKEN_MOUNT, read_only=True)]
    return _container(INIT_CONTAINER, ["init"], env, security, mounts, proxy_resources(spec, settings), installation)


def proxy_container(
    spec: Json, settings: Settings, installation: Installation, workload: Workload, declared: str
) -> Json:
    """`injector-proxy`: a native sidecar, so it starts before and ends after everything else in the pod."""
    resources = proxy_resources(spec, settings)
    env = [
        *_told(settings, workers(resources), workload, declared),
        *(_field(name, path) for name, path in _DOWNWARD),
        *(_env(name, value) for name, value in sorted(installation.extra_env.items())),
    ]
    mounts = [
        _mount(IDENTITY_VOLUME, IDENTITY_MOUNT),
        _mount(TOKEN_VOLUME, TOKEN_MOUNT, read_only=True),
        _mount(TOKEN_VOLUME, API_TOKEN_MOUNT, read_only=True),
    ]
    security = _security(user=installation.proxy_uid)
    return {
        **_container(PROXY_CONTAINER, ["run"], env, security, mounts, resources, installation),
        "restartPolicy": "Always",
        "ports": [{"name": "injector-admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}],
        "lifecycle": {"postStart": {"exec": {"command": list(AWAIT)}}},
        "livenessProbe": {
            "httpGet": {"path": "/live", "port": ADMIN_PORT, "scheme": "HTTP"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "successThreshold": 1,
            "failureThreshold": LIVENESS_FAILURES,
        },
    }


_DOWNWARD: Final = (
    ("INJECTOR_POD_NAME", "metadata.name"),
    ("INJECTOR_POD_NAMESPACE", "metadata.namespace"),
    ("INJECTOR_POD_UID", "metadata.uid"),
    ("INJECTOR_POD_IPS", "status.podIPs"),
    ("INJECTOR_NODE_NAME", "spec.nodeName"),
    ("INJECTOR_SERVICE_ACCOUNT", "spec.serviceAccountName"),
)


def _told(settings: Settings, threads: int, workload: Workload, declared: str) -> list[Json]:
    values = {
        "INJECTOR_LOG_LEVEL": settings.log_level,
        "INJECTOR_LOG_FORMAT": settings.log_format,
        "INJECTOR_WORKERS": str(threads),
        "INJECTOR_SHUTDOWN_GRACE_SECONDS": str(settings.shutdown_grace),
        "INJECTOR_OPAQUE_PORTS": ports.text(settings.opaque_ports),
        "INJECTOR_SKIP_INBOUND_PORTS": ports.text(settings.skip_inbound_ports),
        "INJECTOR_DEFAULT_INBOUND_POLICY": settings.default_inbound_policy,
        "INJECTOR_UNKNOWN_DESTINATIONS": settings.unknown_destinations,
        "INJECTOR_PROBES": declared,
        "INJECTOR_WORKLOAD_KIND": workload.kind,
        "INJECTOR_WORKLOAD_NAME": workload.name,
    }
    return [_env(name, literal(value)) for name, value in values.items()]


def literal(value: str) -> str:
    """The value written such that Kubernetes expands no $(NAME) in it: "$$" stands for "$" (core/v1 EnvVar)."""
    return value.replace("$", "$$")


def _env(name: str, value: str) -> Json:
    return {"name": name, "value": value} if value else {"name": name}  # the API drops an empty value


def volumes() -> list[Json]:
    """The memory volume for key and certificates; and what the proxy reads: the token that proves the pod to the
    issuer, and beside it whom to trust. A pod waits for its namespace's ConfigMap, which the controller makes at the
    opt-in."""
    token = {"serviceAccountToken": {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}}
    trust = {
        "configMap": {"name": TRUST_CONFIG_MAP, "items": [{"key": key, "path": key} for key in (ROOTS_KEY, MESH_KEY)]}
    }
    return [
        {"name": IDENTITY_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": IDENTITY_SIZE}},
        {"name": TOKEN_VOLUME, "projected": {"defaultMode": 0o644, "sources": [token, trust]}},
    ]


def _container(
    name: str,
    args: list[str],
    env: list[Json],
    security: Json,
    mounts: list[Json],
    resources: Json,
    installation: Installation,
) -> Json:
    return {
        "name": name,
        "image": installation.proxy_image,
        "imagePullPolicy": installation.image_pull_policy,
        "args": args,
        "env": env,
        "resources": resources,
        "securityContext": security,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _security(*, user: int, add: list[str] | None = None) -> Json:
    capabilities = {"add": add, "drop": ["ALL"]} if add else {"drop": ["ALL"]}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsGroup": user,
        "runAsNonRoot": user != 0,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _mount(volume: str, path: str, *, read_only: bool = False) -> Json:
    mount: Json = {"name": volume, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    return mount


def _field(name: str, path: str) -> Json:
    reference: dict[str, Any] = {"apiVersion": "v1", "fieldPath": path}
    return {"name": name, "valueFrom": {"fieldRef": reference}}
