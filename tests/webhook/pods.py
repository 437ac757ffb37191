"""Pods of a wanted size as API servers send them, and reviews of them."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

POD_UID = "f2a4c0de-0000-4000-8000-000000000001"


def pod(size: int = 4096) -> dict[str, Any]:
    """A Deployment's pod whose JSON is about `size` bytes: real fields at first, then ever more environment."""
    made = _pod()
    container = made["spec"]["containers"][0]
    missing = size - len(orjson.dumps(made))
    entry = len(orjson.dumps(_variable(0))) + 1
    container["env"] = [*container["env"], *(_variable(index) for index in range(max(0, missing // entry)))]
    return made


def review(reviewed: dict[str, Any], *, namespace: str = "shop", kind: str = "Pod", uid: str | None = None) -> bytes:
    """The AdmissionReview request for the creation of an object."""
    request = {
        "uid": uid or str(uuid.uuid4()),
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": kind.lower() + "s"},
        "requestKind": {"group": "", "version": "v1", "kind": kind},
        "requestResource": {"group": "", "version": "v1", "resource": kind.lower() + "s"},
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        },
        "object": reviewed,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return orjson.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})


def _variable(index: int) -> dict[str, str]:
    return {"name": f"SETTING_{index:06}", "value": f"value-of-setting-{index:06}"}


def _pod() -> dict[str, Any]:
    token = {
        "name": "kube-api-access-7wq5x",
        "readOnly": True,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-6f7d9c5b8d-",
            "namespace": "shop",
            "creationTimestamp": None,
            "labels": {"app": "web", "pod-template-hash": "6f7d9c5b8d"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-22T10:00:00Z"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web-6f7d9c5b8d",
                    "uid": POD_UID,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": "2026-11-22T10:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {
                            "f:generateName": {},
                            "f:labels": {".": {}, "f:app": {}},
                            "f:ownerReferences": {},
                        },
                        "f:spec": {
                            "f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:env": {}, "f:ports": {}}},
                            "f:dnsPolicy": {},
                            "f:enableServiceLinks": {},
                            "f:restartPolicy": {},
                            "f:securityContext": {},
                        },
                    },
                }
            ],
        },
        "spec": {
            "volumes": [
                {"name": "config", "configMap": {"name": "web", "defaultMode": 420}},
                {
                    "name": "kube-api-access-7wq5x",
                    "projected": {
                        "sources": [
                            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                        ],
                        "defaultMode": 420,
                    },
                },
            ],
            "containers": [
                {
                    "name": "web",
                    "image": "registry.example/shop/web:1.4.2",
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "env": [{"name": "LOG_LEVEL", "value": "info"}],
                    "resources": {
                        "limits": {"cpu": "1", "memory": "512Mi"},
                        "requests": {"cpu": "100m", "memory": "128Mi"},
                    },
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}, token],
                    "livenessProbe": {
                        "httpGet": {"path": "/live", "port": "http", "scheme": "HTTP"},
                        "timeoutSeconds": 1,
                    },
                    "readinessProbe": {
                        "httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"},
                        "timeoutSeconds": 1,
                    },
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "web",
            "serviceAccount": "web",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                },
            ],
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {},
    }
