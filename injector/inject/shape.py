"""Whether a pod has the shape that the rest of this package relies on. From an API server it always has; a file, or
somebody who talks to the webhook directly, may bring anything that JSON can say."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, Final, TypeAlias

MOST_FAULTS: Final = 16
"""Faults that are listed: more than a person mends at once. A body of 7 MB can hold three million, and a sentence for
each took 900 MB."""

AND_MORE: Final = f"and more, of which only the first {MOST_FAULTS} are listed"

_LISTS_OF_OBJECTS: Final = ("containers", "initContainers", "ephemeralContainers", "volumes", "imagePullSecrets")
_OBJECTS: Final = ("securityContext", "resources", "nodeSelector", "os")
_OBJECTS_IN_CONTAINER: Final = ("securityContext", "resources", "lifecycle")
_Required: TypeAlias = tuple[tuple[str, type], ...]

_FIELDS_OF_ENTRIES: Final[dict[str, _Required]] = {
    "ports": (("containerPort", int),),
    "env": (("name", str),),
    "volumeMounts": (("name", str), ("mountPath", str)),
}
"""Lists of objects in a container, with the fields that each of their entries must have."""

_TYPE_NAMES: Final = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "nothing",
}


def shape_faults(pod: Any) -> list[str]:
    """A sentence for each field that is not of the type that Kubernetes gives it; empty for a well-formed pod."""
    if not isinstance(pod, dict):
        return [_expected("pod", "an object", pod)]
    return _first(chain(_metadata(pod.get("metadata")), _spec(pod.get("spec"))))


def metadata_faults(metadata: Any) -> list[str]:
    """The same for `metadata` alone, of a pod or a namespace."""
    return _first(_metadata(metadata))


def _first(faults: Iterator[str]) -> list[str]:
    shown = list(islice(faults, MOST_FAULTS))
    return shown if next(faults, None) is None else [*shown, AND_MORE]


def _metadata(metadata: Any) -> Iterator[str]:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield _expected("metadata", "an object", metadata)
        return
    for field in ("annotations", "labels"):
        entries = metadata.get(field)
        yield from _optional(f"metadata.{field}", entries, dict)
        for name, value in entries.items() if isinstance(entries, dict) else ():
            if not isinstance(value, str):
                yield _expected(f"metadata.{field}[{name[:63]!r}]", "a text (in quotes)", value)
    yield from _list_of_objects("metadata.ownerReferences", metadata.get("ownerReferences"), _anything)


def _spec(spec: Any) -> Iterator[str]:
    if not isinstance(spec, dict):
        yield _expected("spec", "an object", spec)
        return
    checks = {"volumes": _named, "imagePullSecrets": _anything}
    for field in _LISTS_OF_OBJECTS:
        yield from _list_of_objects(f"spec.{field}", spec.get(field), checks.get(field, _container))
    if not spec.get("containers"):
        yield "spec.containers: expected at least one container"
    yield from _optional("spec.hostNetwork", spec.get("hostNetwork"), bool)
    for field in _OBJECTS:
        yield from _optional(f"spec.{field}", spec.get(field), dict)
    yield from _user("spec.securityContext", spec.get("securityContext"))
    yield from _amounts("spec.resources", spec.get("resources"))


def _anything(_path: str, _entry: dict[str, Any]) -> Iterator[str]:
    return iter(())


def _named(path: str, entry: dict[str, Any]) -> Iterator[str]:
    if type(entry.get("name")) is not str:
        yield _expected(f"{path}.name", "a text", entry.get("name"))


def _container(path: str, container: dict[str, Any]) -> Iterator[str]:
    yield from _named(path, container)
    for field, required in _FIELDS_OF_ENTRIES.items():
        entries = container.get(field)
        if entries is not None and not _well_formed(entries, required):
            yield from _entries(f"{path}.{field}", entries, required)
    for field in _OBJECTS_IN_CONTAINER:
        yield from _optional(f"{path}.{field}", container.get(field), dict)
    yield from _user(f"{path}.securityContext", container.get("securityContext"))
    yield from _amounts(f"{path}.resources", container.get("resources"))


def _well_formed(entries: Any, required: _Required) -> bool:
    """The same as `_entries` finding nothing, for the many thousand variables that a pod may have."""
    return (
        isinstance(entries, list)
        and all(isinstance(entry, dict) for entry in entries)
        and all(type(entry.get(name)) is wanted for name, wanted in required for entry in entries)
    )


def _entries(path: str, entries: Any, required: _Required) -> Iterator[str]:
    yield from _list_of_objects(path, entries, _anything)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        for name, wanted in required if isinstance(entry, dict) else ():
            if type(entry.get(name)) is not wanted:
                yield _expected(f"{path}[{index}].{name}", _TYPE_NAMES[wanted], entry.get(name))


def _user(path: str, security: Any) -> Iterator[str]:
    if isinstance(security, dict):
        yield from _optional(f"{path}.runAsUser", security.get("runAsUser"), int)


def _amounts(path: str, resources: Any) -> Iterator[str]:
    for part in ("limits", "requests") if isinstance(resources, dict) else ():
        yield from _optional(f"{path}.{part}", resources.get(part), dict)


def _list_of_objects(path: str, value: Any, check: Callable[[str, dict[str, Any]], Iterator[str]]) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        yield _expected(path, "a list of objects", value)
        return
    for index, entry in enumerate(value):
        if isinstance(entry, dict):
            yield from check(f"{path}[{index}]", entry)
        else:
            yield _expected(f"{path}[{index}]", "an object", entry)


def _optional(path: str, value: Any, wanted: type) -> Iterator[str]:
    if value is not None and type(value) is not wanted:  # `type`, for in Python true is a whole number
        yield _expected(path, _TYPE_NAMES[wanted], value)


def _expected(path: str, what: str, value: Any) -> str:
    return f"{path}: expected {what}, got {_TYPE_NAMES.get(type(value), type(value).__name__)}"
