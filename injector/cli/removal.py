"""What an uninstallation takes away, in which order, and whom it would leave behind."""

from typing import TYPE_CHECKING, Final, TypeAlias

from injector.cli.manifests import load_manifests
from injector.cli.workloads import lives
from injector.inject.names import TRUST_CONFIG_MAP
from injector.inject.presence import proxy_container
from injector.kube.errors import NotFound
from injector.kube.resources import CONFIG_MAPS, MUTATING_WEBHOOK_CONFIGURATIONS, NAMESPACES, PODS, Resource

if TYPE_CHECKING:
    from injector.kube.client import KubeClient

Removal: TypeAlias = tuple[Resource, str]
"""Kind and name; all are of the cluster, none of a namespace."""

_RBAC: Final = "rbac.authorization.k8s.io/v1"
CLUSTER_SCOPED: Final = {
    "MutatingWebhookConfiguration": MUTATING_WEBHOOK_CONFIGURATIONS,
    "ClusterRoleBinding": Resource(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    "ClusterRole": Resource(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
    "Namespace": NAMESPACES,
}
"""In this order: first nobody asks the webhook any more, then rights go, then the namespace with all that is in it.

Between the last two the copies of the roots go that stand in other namespaces: the controller, which still runs, has no
right to write them again.
"""

_OURS: Final = "injector.mesh/part=trust"
"""The label of the controller's copies; a ConfigMap of somebody else's may have the name."""


def removal_order() -> list[Removal]:
    """The objects to delete. Those within the system namespace go with it, the secrets made at run time too."""
    objects = [document.value for document in load_manifests()]
    return [
        (resource, value["metadata"]["name"])
        for kind, resource in CLUSTER_SCOPED.items()
        for value in objects
        if value["kind"] == kind
    ]


async def meshed_pods(kube: "KubeClient") -> list[str]:
    """`namespace/name` of every living pod that has our proxy."""
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        async for pod in kube.list(PODS)
        if proxy_container(pod) is not None and lives(pod)
    ]


async def copies_of_roots(kube: "KubeClient", meshed: list[str]) -> list[str]:
    """Namespaces with a copy of the roots that none of these meshed pods (`namespace/name`) needs any more."""
    needed = {pod.partition("/")[0] for pod in meshed}
    name = f"metadata.name={TRUST_CONFIG_MAP}"
    copies = kube.list(CONFIG_MAPS, label_selector=_OURS, field_selector=name)
    return sorted({copy["metadata"]["namespace"] async for copy in copies} - needed)


async def remove(kube: "KubeClient", resource: Resource, name: str, namespace: str | None = None) -> bool:
    """Deletes one object; False where it is gone already."""
    try:
        await kube.delete(resource, name=name, namespace=namespace)
    except NotFound:
        return False
    return True
