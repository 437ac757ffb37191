"""Objects that tests create, as plain data: pods of the test application, workloads and Services for them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.cluster.support.app import IMAGE
from tests.cluster.support.kinds import Json

APP: Final = "app"
"""The application's container."""

HTTP, HTTPS, GRPC, TCP, UDP = 8080, 8443, 9090, 9000, 9001
"""Where the application listens (tests/cluster/app/serve.go)."""

PORTS: Final = {"http": HTTP, "https": HTTPS, "grpc": GRPC, "tcp": TCP}

GRACE_SECONDS: Final = 5
"""terminationGracePeriodSeconds: nothing here takes as long to end, and what hangs shall not hold a test for 30 s."""


def container(name: str = APP, *, args: Sequence[str] = ("serve",), **fields: Any) -> Json:
    """A container of the test application, serving unless `args` say otherwise; `fields` are Kubernetes' own."""
    ports = [{"name": port, "containerPort": number} for port, number in PORTS.items()]
    # The application is ready when it listens; without this a Service would send to a process that is not there yet.
    listens = {"tcpSocket": {"port": "tcp"}, "periodSeconds": 1, "failureThreshold": 60}
    serving = {"ports": ports, "startupProbe": listens} if args[0] == "serve" else {}
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "args": list(args), **serving, **fields}


def spec(*containers: Json, node: str = "", **fields: Any) -> Json:
    """A pod's spec: the given containers or one that serves, on the node of that name or on any."""
    placed = {"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    return {
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": list(containers) or [container()],
        **placed,
        **fields,
    }


def pod(
    name: str, pod_spec: Json | None = None, *, annotations: Mapping[str, str] | None = None, node: str = ""
) -> Json:
    """A bare pod, labelled `app: NAME`."""
    metadata = {"name": name, "labels": {"app": name}, "annotations": dict(annotations or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec or spec(node=node)}


def workload(
    kind: str, name: str, pod_spec: Json, *, annotations: Mapping[str, str] | None = None, **fields: Any
) -> Json:
    """A Deployment, StatefulSet, DaemonSet, Job or CronJob around a pod spec; `fields` go beside its template."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels, "annotations": dict(annotations or {})}, "spec": pod_spec}
    body: Json = {"template": template, **fields}
    if kind in ("Job", "CronJob"):
        pod_spec.setdefault("restartPolicy", "Never")
    else:
        body["selector"] = {"matchLabels": labels}
    if kind == "CronJob":
        schedule = body.pop("schedule")
        body = {"schedule": schedule, "jobTemplate": {"spec": body}}
    group = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": body}


def lossless(name: str, *, replicas: int, node: str = "") -> Json:
    """A Deployment whose pods, as Kubernetes asks of whoever wants to lose nothing, serve on while their end gets
    around."""
    around = {"preStop": {"exec": {"command": ["/app", "sleep", "3s"]}}}
    pod_spec = spec(container(lifecycle=around), node=node, terminationGracePeriodSeconds=15)
    gently = {"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}
    return workload("Deployment", name, pod_spec, replicas=replicas, strategy=gently)


def service(name: str, *, selects: str = "", headless: bool = False) -> Json:
    """A dual-stack Service with the application's ports, before the pods labelled `app: NAME` (or `selects`)."""
    ports = [{"name": port, "port": number} for port, number in PORTS.items()]
    ports.append({"name": "udp", "port": UDP, "protocol": "UDP"})
    body: Json = {"selector": {"app": selects or name}, "ports": ports, "ipFamilyPolicy": "RequireDualStack"}
    if headless:
        body["clusterIP"] = "None"
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}
