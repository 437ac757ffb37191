"""PURE. Where pods stand in the objects that make them."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from injector.inject.model import Json, Workload

Path: TypeAlias = tuple[str | int, ...]

_TEMPLATE: Final[Path] = ("spec", "template")

TEMPLATES: Final[dict[tuple[str, str], Path]] = {
    ("", "Pod"): (),
    ("", "ReplicationController"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
"""By API group and kind, the place of the object that has a pod's `metadata` and `spec`."""

DEFAULT_NAMESPACE: Final = "default"


class TemplateError(ValueError):
    """A workload without the pod template that its kind must have; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """One pod, or pod template, within an object: `path` leads to it from the object's root."""

    workload: Workload
    namespace: str
    path: Path
    pod: Json
    """With `metadata` and `spec`, as a pod made from it would have them; shares what it holds with the object."""

    def __str__(self) -> str:
        return f"{self.workload.kind} {self.namespace}/{self.workload.name}"


def places(value: Any, default_namespace: str, at: Path = ()) -> Iterator[Place]:
    """Every pod or pod template in an object or List (of Lists); raises TemplateError. Other kinds have none."""
    if not isinstance(value, dict):
        return
    kind, group = str(value.get("kind", "")), _group(value)
    if kind.endswith("List") and isinstance(value.get("items"), list):
        for index, item in enumerate(value["items"]):
            yield from places(item, default_namespace, (*at, "items", index))
        return
    if (group, kind) not in TEMPLATES:
        return
    metadata = _mapping(value.get("metadata") or {}, kind, "metadata")
    name = str(metadata.get("name") or metadata.get("generateName") or "")
    path = TEMPLATES[group, kind]
    template = value
    for depth, step in enumerate(path):
        template = _mapping(template.get(step), f"{kind} {name}", ".".join(map(str, path[: depth + 1])))
    _mapping(template.get("spec"), f"{kind} {name}", ".".join([*map(str, path), "spec"]))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template.get("metadata") or {}, "spec": template["spec"]}
    yield Place(Workload(kind, name), str(metadata.get("namespace") or default_namespace), (*at, *path), pod)


def lives(pod: Json) -> bool:
    """Whether a cluster's pod runs, or is to run: it has not ended and is not being deleted."""
    ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and not pod["metadata"].get("deletionTimestamp")


def with_spec(value: Any, path: Path, spec: Json) -> Any:
    """The object with the spec of the pod (template) at `path` exchanged; only the way there is copied."""
    if not path:
        return {**value, "spec": spec}
    step, rest = path[0], path[1:]
    changed = copy.copy(value)
    changed[step] = with_spec(value[step], rest, spec)
    return changed


def pointer(path: Path) -> str:
    """The path as a JSON pointer (RFC 6901), "" for the root; no step of ours needs escaping."""
    return "".join(f"/{step}" for step in path)


def _group(value: Json) -> str:
    version = str(value.get("apiVersion", ""))
    return version.rpartition("/")[0]


def _mapping(value: Any, what: str, where: str) -> Json:
    if not isinstance(value, dict):
        found = "nothing" if value is None else type(value).__name__
        raise TemplateError(f"{what}: expected a mapping at {where}, got {found}")
    return value
