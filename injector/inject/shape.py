"""Whether a pod has the shape that the rest of this package relies on. From an API server it always has; a file, or
somebody who talks to the webhook directly, may bring anything."""

from collections.abc import Iterator
from typing import Any

_LISTS_OF_OBJECTS = ("containers", "initContainers", "ephemeralContainers", "volumes", "imagePullSecrets")
_OBJECTS_IN_CONTAINER = ("securityContext", "resources", "lifecycle")
_LISTS_IN_CONTAINER = ("ports", "env", "volumeMounts")


def shape_faults(pod: Any) -> list[str]:
    """A sentence for each field that is not of the type that Kubernetes gives it; empty for a well-formed pod."""
    if not isinstance(pod, dict):
        return [f"pod: expected an object, got {type(pod).__name__}"]
    return [*_metadata(pod.get("metadata")), *_spec(pod.get("spec"))]


def _metadata(metadata: Any) -> Iterator[str]:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield _expected("metadata", "an object", metadata)
        return
    for field in ("annotations", "labels"):
        entries = metadata.get(field)
        if entries is None:
            continue
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            yield _expected(f"metadata.{field}", "a mapping of texts", entries)
    yield from _list_of_objects("metadata.ownerReferences", metadata.get("ownerReferences"))


def _spec(spec: Any) -> Iterator[str]:
    if not isinstance(spec, dict):
        yield _expected("spec", "an object", spec)
        return
    for field in _LISTS_OF_OBJECTS:
        yield from _list_of_objects(f"spec.{field}", spec.get(field))
    if not spec.get("containers"):
        yield "spec.containers: expected at least one container"
    for field in ("securityContext", "resources", "nodeSelector", "os"):
        yield from _object(f"spec.{field}", spec.get(field))
    yield from _parts("spec.resources", spec.get("resources"))
    for group in ("initContainers", "containers"):
        containers = spec.get(group)
        for index, container in enumerate(containers if isinstance(containers, list) else ()):
            if isinstance(container, dict):
                yield from _container(f"spec.{group}[{index}]", container)


def _container(path: str, container: dict[str, Any]) -> Iterator[str]:
    if not isinstance(container.get("name"), str):
        yield _expected(f"{path}.name", "a text", container.get("name"))
    for field in _LISTS_IN_CONTAINER:
        yield from _list_of_objects(f"{path}.{field}", container.get(field))
    for field in _OBJECTS_IN_CONTAINER:
        yield from _object(f"{path}.{field}", container.get(field))
    yield from _parts(f"{path}.resources", container.get("resources"))


def _parts(path: str, resources: Any) -> Iterator[str]:
    for part in ("limits", "requests") if isinstance(resources, dict) else ():
        yield from _object(f"{path}.{part}", resources.get(part))


def _list_of_objects(path: str, value: Any) -> Iterator[str]:
    if value is not None and not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
        yield _expected(path, "a list of objects", value)


def _object(path: str, value: Any) -> Iterator[str]:
    if value is not None and not isinstance(value, dict):
        yield _expected(path, "an object", value)


def _expected(path: str, what: str, value: Any) -> str:
    return f"{path}: expected {what}, got {type(value).__name__}"
