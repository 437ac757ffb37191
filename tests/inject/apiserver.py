"""What a Kubernetes API server does to a pod, as far as it bears on injection: defaults, plugins, validation.

Written from kubernetes 1.36 (pkg/apis/core/v1/defaults.go and validation.go, the admission plugins ServiceAccount and
LimitRanger), so that properties can be checked a thousand times where a server would take a minute; the cluster tests
ask a real one.
"""

import copy
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from kubernetes.client.models.v1_pod import V1Pod
from pydantic import ValidationError

from injector.inject import quantity
from injector.inject.model import Json

TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
UNKNOWN: Final = "x-future"
"""The prefix of fields that the generator adds and that no Kubernetes of today knows."""


def stored(pod: Json) -> Json:
    """The pod as the API server would keep it: empty values dropped (Go's omitempty), defaults filled in."""
    pod = _without_empties(copy.deepcopy(pod))
    spec = pod["spec"]
    for container in _containers(spec):
        _default_container(container)
    for volume in spec.get("volumes", ()):
        _default_volume(volume)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("enableServiceLinks", True)
    return pod


def _containers(spec: Json) -> Iterator[Json]:
    yield from spec.get("initContainers", ())
    yield from spec.get("containers", ())


def _without_empties(value: Any, field: str = "") -> Any:
    """Without nulls, and without the empty texts, lists and objects that Go leaves out (omitempty)."""
    if isinstance(value, list):
        return [_without_empties(entry, field) for entry in value]
    if not isinstance(value, dict):
        return value
    kept: Json = {}
    for name, inner in value.items():
        plain = inner if name.startswith(UNKNOWN) else _without_empties(inner, name)
        stays = name.startswith(UNKNOWN) or name in _EMPTY_OBJECTS or field in _MAPS
        if plain is not None and (stays or plain not in ("", [], {})) and not (name in _ZEROES and not plain):
            kept[name] = plain
    return kept


_EMPTY_OBJECTS: Final = ("emptyDir", "securityContext", "resources", "projected", "lifecycle")
"""Pointers that are kept when they point to nothing, and structs without omitempty."""

_ZEROES: Final = ("readOnly", "hostNetwork", "initialDelaySeconds")
"""Plain numbers and truths with omitempty: false and 0 are left out."""

_MAPS: Final = ("annotations", "labels", "httpHeaders", "grpc")
"""In these an empty text is a value: maps, structs without omitempty, pointers."""


def _default_container(container: Json) -> None:
    latest = ":" not in container["image"] or container["image"].endswith(":latest")
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    _default_resources(container.setdefault("resources", {}))
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", ()):
        if "fieldRef" in variable.get("valueFrom", {}):
            variable["valueFrom"]["fieldRef"].setdefault("apiVersion", "v1")
    probes = [container[field] for field in _PROBES if field in container]
    lifecycle = container.get("lifecycle", {})
    for probe in probes:
        probe.update({name: probe.get(name) or value for name, value in _PROBE_DEFAULTS.items()})
    for handler in (*probes, *(lifecycle[field] for field in ("postStart", "preStop") if field in lifecycle)):
        if "httpGet" in handler:
            handler["httpGet"] = {"path": "/", "scheme": "HTTP", **handler["httpGet"]}
        if "grpc" in handler:
            handler["grpc"].setdefault("service", "")


def _default_resources(resources: Json) -> None:
    for amounts in resources.values():
        for name, amount in amounts.items():
            amounts[name] = canonical(amount)
    for name, amount in resources.get("limits", {}).items():
        resources.setdefault("requests", {}).setdefault(name, amount)


_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
_PROBE_DEFAULTS: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def canonical(amount: str) -> str:
    """A quantity as the API server writes it back: rounded up to thousandths, in the largest unit that keeps it whole,
    binary where it was written so."""
    thousandths = math.ceil(quantity.parse(str(amount)) * 1000)
    if thousandths % 1000:
        return f"{thousandths}m"
    whole = thousandths // 1000
    base, units = (1024, ("Gi", "Mi", "Ki")) if str(amount).endswith("i") else (1000, ("G", "M", "k"))
    for power, unit in zip((3, 2, 1), units, strict=True):
        if whole and whole % base**power == 0:
            return f"{whole // base**power}{unit}"
    return str(whole)


def _default_volume(volume: Json) -> None:
    if volume.keys() == {"name"}:
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if kind in volume:
            volume[kind].setdefault("defaultMode", 0o644)
    for source in volume.get("projected", {}).get("sources", ()):
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")


def with_api_token(pod: Json) -> Json:
    """What the ServiceAccount plugin does: the API token in every container that mounts nothing at its place."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    if spec.get("automountServiceAccountToken") is False:
        return pod
    needed = False
    for container in _containers(spec):
        mounts = container.get("volumeMounts") or []
        if not any(mount["mountPath"] == TOKEN_PATH for mount in mounts):
            container["volumeMounts"] = [
                *mounts,
                {"name": "kube-api-access", "mountPath": TOKEN_PATH, "readOnly": True},
            ]
            needed = True
    if needed and not any(volume["name"] == "kube-api-access" for volume in spec.get("volumes") or ()):
        sources = [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]
        volume = {"name": "kube-api-access", "projected": {"sources": sources, "defaultMode": 0o644}}
        spec["volumes"] = [*(spec.get("volumes") or ()), volume]
    return pod


def with_limit_range(pod: Json, amounts: dict[str, str]) -> Json:
    """What LimitRanger does: default limits and requests where a container has none."""
    pod = copy.deepcopy(pod)
    for container in _containers(pod["spec"]):
        resources = container["resources"] = container.get("resources") or {}
        for part in ("limits", "requests"):
            resources[part] = {**amounts, **(resources.get(part) or {})}
    return pod


def complaints(pod: Json) -> list[str]:
    """What an API server would say against a pod: first of its types, which the generated models hold to the letter
    (no unknown field, no number for a text), then of some of the rules beyond types. Unknown fields of ours are left
    out."""
    try:
        V1Pod.model_validate(_without_unknown(pod))
    except ValidationError as error:
        return [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return list(_broken_rules(pod["spec"]))


def _without_unknown(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_unknown(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _without_unknown(inner) for name, inner in value.items() if not name.startswith(UNKNOWN)}
    return value


def _broken_rules(spec: Json) -> Iterator[str]:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    volumes = [volume["name"] for volume in spec.get("volumes") or ()]
    yield from _twice("container", [container["name"] for container in containers])
    yield from _twice("volume", volumes)
    for container in containers:
        mounts = container.get("volumeMounts") or ()
        yield from _twice(f"{container['name']}: mount path", [mount["mountPath"] for mount in mounts])
        yield from (f"{container['name']}: no volume {m['name']}" for m in mounts if m["name"] not in volumes)
        names = [port["name"] for port in container.get("ports") or () if port.get("name")]
        yield from _twice(f"{container['name']}: port", names)
        yield from (f"{container['name']}: port name {name} is too long" for name in names if len(name) > 15)
        for field in _PROBES:
            yield from _probe_rules(container["name"], field, container.get(field))
        yield from _resource_rules(container["name"], container.get("resources") or {})


def _probe_rules(name: str, field: str, probe: Json | None) -> Iterator[str]:
    if probe is None:
        return
    handlers = [handler for handler in ("exec", "httpGet", "tcpSocket", "grpc") if probe.get(handler) is not None]
    if len(handlers) != 1:
        yield f"{name}: {field} has the handlers {handlers}"
    if field != "readinessProbe" and (probe.get("successThreshold") or 1) != 1:
        yield f"{name}: {field} must succeed at once"


def _resource_rules(name: str, resources: Json) -> Iterator[str]:
    for resource, amount in (resources.get("requests") or {}).items():
        limit = (resources.get("limits") or {}).get(resource, amount)
        if quantity.parse(amount) > quantity.parse(limit):
            yield f"{name}: {resource} request {amount} is above its limit {limit}"


def _twice(what: str, names: list[str]) -> Iterator[str]:
    return (f"{what} {name} stands there {count} times" for name, count in Counter(names).items() if count > 1)
