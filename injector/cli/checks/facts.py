"""Everything that `injector check` reads, once; what may not be read is kept as the error it gave."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from injector.cli.identity import PUBLISHED
from injector.cli.live import read_installation
from injector.inject.installation import Installation
from injector.inject.model import Json
from injector.inject.names import ENABLED, INJECT, SYSTEM_NAMESPACE
from injector.kube.errors import KubeError
from injector.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    PODS,
    SECRETS,
    Resource,
)

if TYPE_CHECKING:
    from injector.kube.client import KubeClient

Read = TypeVar("Read")
Maybe: TypeAlias = Read | KubeError

NETWORK_POLICIES: Final = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
PARTS: Final = ("injector-webhook", "injector-controller", "injector-identity", "injector-discovery")

_ADMIN_SECONDS: Final = 3.0
"""For the pods' own health through the API server: it is the same network, so it answers at once or not at all."""

PROBE: Final[Json] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "generateName": "injector-check-",
        "annotations": {INJECT: ENABLED},
        "labels": {"app.kubernetes.io/part-of": "injector"},
    },
    "spec": {"containers": [{"name": "check", "image": "injector.mesh/never-pulled"}]},
}
"""A pod that asks for the mesh, created with dryRun=All: it goes through admission and is then forgotten."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cluster said. Lists and objects are raw JSON."""

    version: Json
    installation: Installation
    notes: tuple[str, ...]
    configuration: Maybe[Json]
    identity: Maybe[Json]
    """ConfigMap injector-identity: roots, issuer, and what the controller says of them."""
    served: Maybe[bytes]
    """The serving certificate's chain, PEM."""
    deployments: dict[str, Maybe[Json]]
    system_pods: Maybe[list[Json]]
    policies: Maybe[list[Json]]
    namespaces: Maybe[list[Json]]
    pods: Maybe[list[Json]]
    probe_namespace: str
    probe: Maybe[Json]
    admin_answers: bool | None


async def read_facts(kube: "KubeClient", probe_namespace: str) -> Facts:
    """All facts; raises KubeError only where the API server itself cannot be talked to."""
    version = await kube.request("GET", "/version")
    installation, notes = await read_installation(kube)
    system = SYSTEM_NAMESPACE
    configuration, identity, policies, system_pods, namespaces, pods, probe, *deployments = await asyncio.gather(
        _try(kube.get(MUTATING_WEBHOOK_CONFIGURATIONS, name="injector")),
        _try(kube.get(CONFIG_MAPS, namespace=system, name=PUBLISHED)),
        _try(_all(kube, NETWORK_POLICIES, system)),
        _try(_all(kube, PODS, system)),
        _try(_all(kube, NAMESPACES, None)),
        _try(_all(kube, PODS, None)),
        _try(_dry_run(kube, probe_namespace)),
        *(_try(kube.get(DEPLOYMENTS, namespace=system, name=name)) for name in PARTS),
    )
    return Facts(
        version=version,
        installation=installation,
        notes=notes,
        configuration=configuration,
        identity=identity,
        served=await _served(kube),
        deployments=dict(zip(PARTS, deployments, strict=True)),
        system_pods=system_pods,
        policies=policies,
        namespaces=namespaces,
        pods=pods,
        probe_namespace=probe_namespace,
        probe=probe,
        admin_answers=await _admin_answers(kube, system_pods) if isinstance(probe, KubeError) else None,
    )


async def _try(reading: Awaitable[Any]) -> Any:
    try:
        return await reading
    except KubeError as error:
        return error


async def _all(kube: "KubeClient", resource: Resource, namespace: str | None) -> list[Json]:
    return [found async for found in kube.list(resource, namespace=namespace)]


async def _dry_run(kube: "KubeClient", namespace: str) -> Json:
    made: Json = await kube.request("POST", PODS.path(namespace=namespace), params={"dryRun": "All"}, body=PROBE)
    return made


async def _served(kube: "KubeClient") -> Maybe[bytes]:
    """The key lies beside the certificate and is not looked at."""
    secret = await _try(kube.get(SECRETS, namespace=SYSTEM_NAMESPACE, name="injector-webhook-tls"))
    if isinstance(secret, KubeError):
        return secret
    try:
        return base64.b64decode(str((secret.get("data") or {}).get("tls.crt") or ""), validate=True)
    except binascii.Error:
        return b""


def webhook_pods(pods: list[Json]) -> list[Json]:
    """Those of the system namespace's pods that are the webhook's."""
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == PARTS[0]]


def is_ready(pod: Json) -> bool:
    """Whether the pod's own condition says that it is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)


def port_of(pod: Json, name: str) -> int | None:
    """The number of a named container port."""
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return next((port["containerPort"] for port in ports if port.get("name") == name), None)


async def _admin_answers(kube: "KubeClient", system_pods: Maybe[list[Json]]) -> bool | None:
    """Whether the API server reaches a ready webhook pod at all; None where that cannot be tried."""
    ready = [pod for pod in webhook_pods(system_pods) if is_ready(pod)] if isinstance(system_pods, list) else []
    if not ready:
        return None
    port = port_of(ready[0], "admin")
    path = PODS.path(namespace=SYSTEM_NAMESPACE, name=f"{ready[0]['metadata']['name']}:{port}", subresource="proxy")
    answer = await _try(kube.request("GET", f"{path}/livez", seconds=_ADMIN_SECONDS))
    if isinstance(answer, KubeError):
        return None if answer.status in {401, 403} else False
    return True
