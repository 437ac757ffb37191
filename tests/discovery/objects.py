"""Kubernetes objects of discovery, as short as tests need them."""

from __future__ import annotations

from typing import Any

from injector.discovery.declared import OPAQUE_KEY
from injector.discovery.records import (
    OPAQUE_PORTS,
    SERVICE_NAME_LABEL,
    SKIP_INBOUND_PORTS,
    SPEAKS_TLS,
    ZONE_LABEL,
)
from injector.discovery.workloads import KIND, NAME, TEMPLATE_HASH
from injector.inject.names import PROXY_CONTAINER

Object = dict[str, Any]


def service(
    name: str = "web",
    namespace: str = "shop",
    *,
    ips: tuple[str, ...] = ("10.96.0.10",),
    ports: list[Object] | None = None,
    opaque: str | None = None,
    **spec: Any,
) -> Object:
    """A Service; its one port is 80 unless `ports` says otherwise. `opaque` is its annotation."""
    whole = {"clusterIP": ips[0], "clusterIPs": list(ips), "ports": ports or [{"port": 80, "protocol": "TCP"}]}
    return {"metadata": {"name": name, "namespace": namespace} | _annotated(opaque), "spec": whole | spec}


def namespace(name: str = "shop", opaque: str | None = None) -> Object:
    """A namespace, as a watch of metadata shows it."""
    return {"kind": "PartialObjectMetadata", "metadata": {"name": name} | _annotated(opaque)}


def _annotated(opaque: str | None) -> Object:
    return {} if opaque is None else {"annotations": {OPAQUE_KEY.annotation: opaque}}


def endpoint(ip: str, *, pod: str | None = None, uid: str | None = None, **more: Any) -> Object:
    """An entry of a slice; ready unless `conditions` says otherwise."""
    entry: Object = {"addresses": [ip], "conditions": {"ready": True}} | more
    if pod is not None:
        entry["targetRef"] = {"kind": "Pod", "name": pod, "uid": f"uid-{pod}" if uid is None else uid}
    return entry


def endpoint_slice(
    *endpoints: Object,
    service: str = "web",
    name: str = "web-1",
    namespace: str = "shop",
    ports: list[Object] | None = None,
    family: str = "IPv4",
) -> Object:
    """A slice; its one port is 8080 unless `ports` says otherwise."""
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {SERVICE_NAME_LABEL: service}},
        "addressType": family,
        "ports": ports or [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def pod(
    name: str = "web-a",
    namespace: str = "shop",
    *,
    ips: tuple[str, ...] = ("10.244.0.5",),
    meshed: bool = True,
    phase: str = "Running",
    account: str = "web",
    node: str = "node-1",
    skip: str = "",
    opaque: str = "",
    host_network: bool = False,
    leaving: bool = False,
    policy: str = "all-unauthenticated",
    created: str = "2026-01-01T00:00:00Z",
    owner: tuple[str, str] | None = None,
    template: str = "",
    workload: tuple[str, str] = ("", ""),
) -> Object:
    """A pod, meshed unless told otherwise. `owner` is the kind and name of its controller, `template` the hash of its
    Deployment's template, `workload` what its sidecar was told."""
    metadata: Object = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": created}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": "Node", "name": "x"}, _controller(*owner)]
    if template:
        metadata["labels"] = {TEMPLATE_HASH: template}
    spec: Object = {"serviceAccountName": account, "nodeName": node, "containers": [{"name": "app"}]}
    if host_network:
        spec["hostNetwork"] = True
    if meshed:
        told = {SPEAKS_TLS: policy, SKIP_INBOUND_PORTS: skip, OPAQUE_PORTS: opaque}
        told |= dict(zip((KIND, NAME), workload, strict=True))
        env = [{"name": key, "value": value} for key, value in told.items() if value]
        spec["initContainers"] = [{"name": PROXY_CONTAINER, "restartPolicy": "Always", "env": env}]
    status: Object = {"phase": phase, "podIPs": [{"ip": ip} for ip in ips]}
    if ips:
        status["podIP"] = ips[0]
    return {"metadata": metadata, "spec": spec, "status": status}


def _controller(kind: str, name: str) -> Object:
    return {"kind": kind, "name": name, "controller": True}


def node(name: str = "node-1", zone: str = "zone-a") -> Object:
    """A node."""
    return {"metadata": {"name": name, "labels": {ZONE_LABEL: zone} if zone else {}}}
