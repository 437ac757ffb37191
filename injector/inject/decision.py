"""Whether a pod is one that the mesh takes: Inject, or Skip with its reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from injector.inject.model import Json, Namespace
from injector.inject.names import DISABLED, ENABLED, INJECT, SYSTEM_NAMESPACES


class SkipReason(StrEnum):
    """Why a pod stays without a proxy. The slug is the same in metric, Event, warning, log, command line and test."""

    NOT_ENABLED = "not-enabled"
    DISABLED_ON_POD = "disabled-on-pod"
    SYSTEM_NAMESPACE = "system-namespace"
    MIRROR_POD = "mirror-pod"
    HOST_NETWORK = "host-network"
    WINDOWS = "windows"
    OTHER_MESH = "other-mesh"
    ALREADY_INJECTED = "already-injected"

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    SkipReason.NOT_ENABLED: f"neither the pod nor its namespace is annotated {INJECT}: {ENABLED}",
    SkipReason.DISABLED_ON_POD: f"the pod is annotated {INJECT}: {DISABLED}",
    SkipReason.SYSTEM_NAMESPACE: f"the mesh leaves {' and '.join(sorted(SYSTEM_NAMESPACES))} alone",
    SkipReason.MIRROR_POD: "it mirrors a static pod, which runs from a file on its node and cannot be changed here",
    SkipReason.HOST_NETWORK: "it uses the node's network, whose connections must not be redirected",
    SkipReason.WINDOWS: "it runs on Windows, where there is no iptables",
    SkipReason.OTHER_MESH: "it has another mesh's sidecar; two redirections of one connection do not work",
    SkipReason.ALREADY_INJECTED: "it has exactly the proxy that it would be given",
}

QUIET: Final = frozenset({SkipReason.NOT_ENABLED, SkipReason.ALREADY_INJECTED})
"""Skips that nobody needs a warning for."""

NO_PLACE: Final = frozenset({SkipReason.HOST_NETWORK, SkipReason.OTHER_MESH})
"""Pods in which our containers would do harm: rules on the node's network would take the whole node's connections."""

MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
"""Set by the kubelet on the API's copy of a static pod (kubelet/types.ConfigMirrorAnnotationKey)."""

OTHER_MESHES: Final = {
    "istio-proxy": "Istio",
    "istio-init": "Istio",
    "istio-validation": "Istio",
    "linkerd-proxy": "Linkerd",
    "linkerd-init": "Linkerd",
    "kuma-sidecar": "Kuma",
    "kuma-init": "Kuma",
    "consul-dataplane": "Consul",
    "consul-connect-inject-init": "Consul",
}
"""Containers by which other meshes are known."""


@dataclass(frozen=True, slots=True)
class Inject:
    """The pod is to get a proxy."""


@dataclass(frozen=True, slots=True)
class Skip:
    """The pod stays as it is."""

    reason: SkipReason


def decide(pod: Json, namespace: Namespace, *, opted_in: bool) -> Inject | Skip:
    """Whether the pod is taken, by what it is; what it already contains is judged elsewhere.

    `opted_in` is True where its namespace was opted in for sure: the API server sent it for that namespace's label.
    """
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    spec = pod.get("spec") or {}
    word = annotations.get(INJECT)
    if word == DISABLED:
        return Skip(SkipReason.DISABLED_ON_POD)
    if word != ENABLED and not opted_in and not namespace.opted_in:
        return Skip(SkipReason.NOT_ENABLED)
    if namespace.name in SYSTEM_NAMESPACES:
        return Skip(SkipReason.SYSTEM_NAMESPACE)
    if MIRROR_ANNOTATION in annotations:
        return Skip(SkipReason.MIRROR_POD)
    if spec.get("hostNetwork"):
        return Skip(SkipReason.HOST_NETWORK)
    if _windows(spec):
        return Skip(SkipReason.WINDOWS)
    if any(container.get("name") in OTHER_MESHES for container in all_containers(spec)):
        return Skip(SkipReason.OTHER_MESH)
    return Inject()


def _windows(spec: dict[str, Any]) -> bool:
    os = (spec.get("os") or {}).get("name") or (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    return bool(os == "windows")


def all_containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Init containers (native sidecars among them), then containers."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()
