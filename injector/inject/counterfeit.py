"""Whether what stands in a pod under our names is ours.

Judged by content against what the patch would add. Others may have had the pod since: the API server's plugins add
defaults and limits, other webhooks add variables and mounts to every container. Such additions cannot be told from an
author's, and need not be: the pod is repaired, that is, our containers are written again as they should be. What no
honest party changes (the image, what runs, its rights) makes it a counterfeit, and the pod is refused.
"""

from collections.abc import Iterator
from typing import Final

from injector.inject import quantity
from injector.inject.annotations import SHOWN_VALUE_LENGTH
from injector.inject.installation import forbidden_env
from injector.inject.model import Json
from injector.inject.names import CONTAINERS, VOLUMES
from injector.inject.refusal import Fault, RefusalReason
from injector.inject.sidecar import API_TOKEN_MOUNT

_FILLED_IN: Final = ("imagePullPolicy", "resizePolicy")
"""What the API server sets by itself and would set again: AlwaysPullImages the first; releases with in-place resizing
the second, where a container has requests (core/v1 SetDefaults_Pod)."""

_REPAIRABLE: Final = frozenset({"env", "resources", "volumeMounts", *_FILLED_IN})
"""Fields that admission plugins (LimitRanger, ServiceAccount) and other webhooks touch."""

_FORGED_ENV: Final = ("LD_", "SSLKEYLOGFILE")


def faults(spec: Json, wanted: Json) -> Iterator[Fault]:
    """What of ours in `spec` is not as in `wanted`, the spec that injection of the same pod gives."""
    expected = {
        container["name"]: container for container in wanted["initContainers"] if container["name"] in CONTAINERS
    }
    seen: set[str] = set()
    for group in ("containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            if container["name"] in CONTAINERS:
                where = f"it stands among {group}, and the mesh's stands among initContainers"
                yield _counterfeit(container["name"], where, "remove or rename it")
    for container in spec.get("initContainers") or ():
        name = container["name"]
        if name not in CONTAINERS:
            continue
        if name in seen:
            yield _counterfeit(name, "it stands there twice")
        seen.add(name)
        yield from _container_faults(container, expected[name])
    yield from _volume_faults(spec, wanted)


def _container_faults(container: Json, expected: Json) -> Iterator[Fault]:
    name = expected["name"]
    for field in sorted((container.keys() | expected.keys()) - _REPAIRABLE):
        if container.get(field) != expected.get(field):
            yield _counterfeit(name, f"its {field} is not the mesh's")
    allowed = {entry["name"] for entry in expected["env"]}
    for entry in container.get("env") or ():
        variable = entry["name"]
        if variable.startswith(_FORGED_ENV) and variable not in allowed:
            yield _counterfeit(name, f"its variable {variable[:SHOWN_VALUE_LENGTH]!r} {forbidden_env(variable)}")


_TAKE_OUT: Final = "remove it, or run `injector uninject` on the manifest"


def _counterfeit(name: str, what: str, remedy: str = _TAKE_OUT) -> Fault:
    message = f"container {name!r}: {what}; the name is the mesh's: {remedy}"
    return Fault(RefusalReason.COUNTERFEIT_CONTAINER, message)


def _volume_faults(spec: Json, wanted: Json) -> Iterator[Fault]:
    expected = {volume["name"]: volume for volume in wanted["volumes"] if volume["name"] in VOLUMES}
    seen: set[str] = set()
    for volume in spec.get("volumes") or ():
        name = volume["name"]
        if name in VOLUMES and (name in seen or volume != expected[name]):
            yield Fault(
                RefusalReason.COUNTERFEIT_VOLUME,
                f"volume {name!r} is not the one that the mesh adds; the name is the mesh's: remove or rename it, or "
                "run `injector uninject` on the manifest if another release of the mesh injected it",
            )
        seen.add(name)


def same(container: Json, expected: Json) -> bool:
    """Whether one of our containers needs no repair: as expected, but for what the API server's own plugins add."""
    if container["name"] not in CONTAINERS:
        return container == expected
    left_out = {"resources", *_FILLED_IN}
    if _without(container, left_out) != _without(expected, left_out):
        return False
    return _same_resources(container.get("resources") or {}, expected["resources"])


def _without(container: Json, fields: set[str]) -> Json:
    return {field: value for field, value in container.items() if field not in fields}


def _same_resources(resources: Json, expected: Json) -> bool:
    """Whether all that is expected is there, in any notation (the API server writes 0.5 as 500m). What LimitRanger
    and the API server filled in beside it, they would fill in again."""
    if resources.keys() - {"limits", "requests"}:
        return False
    return all(
        quantity.equal((resources.get(part) or {}).get(name), amount)
        for part, amounts in expected.items()
        for name, amount in amounts.items()
    )


def additions(spec: Json, wanted: Json) -> Iterator[str]:
    """A warning for each variable and mount that somebody added to our containers and that a repair removes."""
    expected = {
        container["name"]: container for container in wanted["initContainers"] if container["name"] in CONTAINERS
    }
    for container in spec.get("initContainers") or ():
        ours = expected.get(container["name"])
        if ours is None:
            continue
        for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
            known = {entry[key] for entry in ours[field]} | {API_TOKEN_MOUNT}
            for entry in container.get(field) or ():
                if entry[key] not in known:
                    added = entry[key][:SHOWN_VALUE_LENGTH]
                    yield f"container {ours['name']}: removed {added!r} ({field}), which the mesh did not add"
