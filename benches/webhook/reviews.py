"""Reviews as an API server sends them, for pods of a given size. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

KIB = 1024

_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_VALUE = "postgres://orders.shop.svc.cluster.local:5432/orders?sslmode=verify-full&pool=16"
# A container with more variables than this becomes two: large pods have both many containers and many variables.
_VARIABLES_A_CONTAINER = 800


@dataclass(frozen=True, slots=True)
class Owner:
    """The ReplicaSet that a pod belongs to."""

    name: str
    uid: str


def review(pod_bytes: int, namespace: str, owner: Owner) -> bytes:
    """An AdmissionReview of a pod whose compact JSON is exactly `pod_bytes` long (3 KiB at least)."""
    return _compact(_envelope(pod(pod_bytes, namespace, owner), namespace))


def pod(size: int, namespace: str, owner: Owner) -> dict[str, Any]:
    """A Deployment's pod with every field the API server fills in, grown by environment variables."""
    made = _pod(namespace, owner, 0)
    one = len(_compact(_variable(0))) + 1  # and its comma
    count = (size - len(_compact(made))) // one
    if count < 1:
        raise ValueError(f"expected a size of {len(_compact(made)) + one} bytes at least, got {size}")
    while True:
        made = _pod(namespace, owner, count)
        missing = size - len(_compact(made))
        if missing >= 0:
            made["spec"]["containers"][0]["env"][0]["value"] += "x" * missing
            return made
        # Further containers have bodies of their own: give up as many variables as those took.
        count -= max(1, -missing // one)


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _variable(number: int) -> dict[str, str]:
    return {"name": f"SETTING_{number:05}", "value": _VALUE}


def _pod(namespace: str, owner: Owner, variables: int) -> dict[str, Any]:
    starts = range(0, max(variables, 1), _VARIABLES_A_CONTAINER)
    containers = [
        _container(index, range(start, min(start + _VARIABLES_A_CONTAINER, variables)))
        for index, start in enumerate(starts)
    ]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": f"{owner.name}-",
            "namespace": namespace,
            "uid": "0b6e8f7e-6f0c-4c6e-9d53-0f5c2f7b8a11",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "orders", "pod-template-hash": "7d4b9c5f6d", "version": "v1"},
            "annotations": {"checksum/config": "4f1c" * 16, "prometheus.io/scrape": "true"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [_managed_fields()],
        },
        "spec": _spec(containers),
        "status": {},
    }


def _spec(containers: list[dict[str, Any]]) -> dict[str, Any]:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    tolerated = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return {
        "volumes": [{"name": "kube-api-access-x7k2p", "projected": {"sources": sources, "defaultMode": 420}}],
        "containers": containers,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} for key in tolerated
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _container(index: int, variables: range) -> dict[str, Any]:
    return {
        "name": f"orders-{index}",
        "image": "registry.example.com/shop/orders:1.8.2",
        "ports": [{"name": "http", "containerPort": 8080 + index, "protocol": "TCP"}],
        "env": [_variable(number) for number in variables],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "kube-api-access-x7k2p", "readOnly": True, "mountPath": _TOKEN_MOUNT}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def _managed_fields() -> dict[str, Any]:
    fields = {"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {}}}
    return {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _envelope(reviewed: dict[str, Any], namespace: str) -> dict[str, Any]:
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    user = {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:authenticated"]}
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": user,
            "object": reviewed,
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }
