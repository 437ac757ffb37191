"""What an uninstallation takes away, in which order, and whom it would leave behind."""

from typing import TYPE_CHECKING, Final, TypeAlias

from injector.cli.manifests import load_manifests
from injector.cli.workloads import lives
from injector.inject.presence import proxy_container
from injector.kube.errors import NotFound
from injector.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, NAMESPACES, PODS, Resource

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
"""In this order: first nobody asks the webhook any more, then rights go, then the namespace with all that is in it."""


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


async def remove(kube: "KubeClient", resource: Resource, name: str) -> bool:
    """Deletes one object; False where it is gone already."""
    try:
        await kube.delete(resource, name=name)
    except NotFound:
        return False
    return True
