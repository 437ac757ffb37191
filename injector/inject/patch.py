"""RFC 6902 operations that lead from a pod to the injected pod: few, and built on the raw pod.

Only what changes is named, so fields that this code does not know survive untouched.
"""

from typing import Any, TypeAlias

from injector.inject.counterfeit import same
from injector.inject.model import Json
from injector.inject.names import VOLUMES
from injector.inject.probes import Rewrite, replaced

Operation: TypeAlias = dict[str, Any]


def first_injection(spec: Json, ours: list[Json], volumes: list[Json], rewrites: list[Rewrite]) -> list[Operation]:
    """Operations for a spec that has nothing of ours: probes, then volumes, then our containers before all others."""
    operations = [_rewrite(rewrite) for rewrite in rewrites]
    operations += _append(spec, "volumes", volumes)
    if spec.get("initContainers"):
        operations += [_add("/spec/initContainers/0", container) for container in reversed(ours)]
    else:
        operations.append(_add("/spec/initContainers", ours))
    return operations


def repair(spec: Json, wanted: Json) -> list[Operation]:
    """Operations for a spec that has something of ours, towards the `wanted` spec; none where nothing is amiss."""
    operations: list[Operation] = []
    actual = spec.get("initContainers") or []
    if len(actual) != len(wanted["initContainers"]) or not all(map(same, actual, wanted["initContainers"])):
        operations.append(_add("/spec/initContainers", wanted["initContainers"]))  # there or not (RFC 6902, 4.1)
    pairs = zip(spec.get("containers") or (), wanted["containers"], strict=True)
    operations += [
        {"op": "replace", "path": f"/spec/containers/{index}/{field}", "value": target[field]}
        for index, (container, target) in enumerate(pairs)
        for field in target
        if container.get(field) != target[field]
    ]
    present = {volume.get("name") for volume in spec.get("volumes") or ()}
    missing = [volume for volume in wanted["volumes"] if volume["name"] in VOLUMES - present]
    return operations + (_append(spec, "volumes", missing) if missing else [])


def pull_secret(spec: Json, name: str | None) -> list[Operation]:
    """The operation that lets the kubelet pull our image, where the installation names a secret for it."""
    present = any(entry.get("name") == name for entry in spec.get("imagePullSecrets") or ())
    return [] if name is None or present else _append(spec, "imagePullSecrets", [{"name": name}])


def _append(spec: Json, field: str, entries: list[Json]) -> list[Operation]:
    if spec.get(field):
        return [_add(f"/spec/{field}/-", entry) for entry in entries]
    return [_add(f"/spec/{field}", entries)]


def _add(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def _rewrite(rewrite: Rewrite) -> Operation:
    path = "/".join(("", "spec", rewrite.group, str(rewrite.index), *rewrite.where))
    return {"op": "replace", "path": path, "value": rewrite.replacement}


def injected_spec(spec: Json, ours: list[Json], volumes: list[Json], rewrites: list[Rewrite]) -> Json:
    """The spec that `first_injection` leads to, for comparison; shares what it does not change."""
    wanted = {**spec, "containers": list(spec.get("containers") or ())}
    wanted["initContainers"] = list(spec.get("initContainers") or ())
    for rewrite in rewrites:
        group = wanted[rewrite.group]
        group[rewrite.index] = replaced(group[rewrite.index], rewrite.where, rewrite.replacement)
    wanted["initContainers"] = [*ours, *wanted["initContainers"]]
    wanted["volumes"] = [*(spec.get("volumes") or ()), *volumes]
    return wanted
