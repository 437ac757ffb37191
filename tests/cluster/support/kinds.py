"""Where the API server keeps objects of a kind."""

from typing import Any, Final, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]


class Kind(NamedTuple):
    """The path of a kind's collection: `base` is "api/v1" or "apis/GROUP/VERSION"."""

    base: str
    plural: str
    namespaced: bool = True


KINDS: Final = {
    "ConfigMap": Kind("api/v1", "configmaps"),
    "Event": Kind("api/v1", "events"),
    "LimitRange": Kind("api/v1", "limitranges"),
    "Namespace": Kind("api/v1", "namespaces", namespaced=False),
    "Node": Kind("api/v1", "nodes", namespaced=False),
    "Pod": Kind("api/v1", "pods"),
    "PodTemplate": Kind("api/v1", "podtemplates"),
    "ReplicationController": Kind("api/v1", "replicationcontrollers"),
    "ResourceQuota": Kind("api/v1", "resourcequotas"),
    "Secret": Kind("api/v1", "secrets"),
    "Service": Kind("api/v1", "services"),
    "ServiceAccount": Kind("api/v1", "serviceaccounts"),
    "DaemonSet": Kind("apis/apps/v1", "daemonsets"),
    "Deployment": Kind("apis/apps/v1", "deployments"),
    "ReplicaSet": Kind("apis/apps/v1", "replicasets"),
    "StatefulSet": Kind("apis/apps/v1", "statefulsets"),
    "CronJob": Kind("apis/batch/v1", "cronjobs"),
    "Job": Kind("apis/batch/v1", "jobs"),
    "Lease": Kind("apis/coordination.k8s.io/v1", "leases"),
    "EndpointSlice": Kind("apis/discovery.k8s.io/v1", "endpointslices"),
    "NetworkPolicy": Kind("apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Kind("apis/policy/v1", "poddisruptionbudgets"),
    "Role": Kind("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": Kind("apis/rbac.authorization.k8s.io/v1", "clusterroles", namespaced=False),
    "ClusterRoleBinding": Kind("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False),
    "MutatingWebhookConfiguration": Kind(
        "apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", namespaced=False
    ),
}


def path(kind: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The URL path of a collection, or of one object; raises KeyError for a kind that is not in the table."""
    base, plural, namespaced = KINDS[kind]
    within = f"/namespaces/{namespace}" if namespaced and namespace else ""
    rest = "".join(f"/{part}" for part in (name, subresource) if part)
    return f"/{base}{within}/{plural}{rest}"
