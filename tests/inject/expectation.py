"""What injection should make of a pod, worked out anew: as a person would by hand, not as the code does."""

import copy
import json
from typing import Any, Final

import yaml

from injector.inject.model import Json
from tests.inject.golden import ROOT

_PLAIN: Final = yaml.safe_load((ROOT / "patch" / "base.yaml").read_text())
OUR_VOLUMES: Final[list[Json]] = _PLAIN[0]["value"]
OUR_CONTAINERS: Final[list[Json]] = _PLAIN[1]["value"]
"""As the golden patch of a plain pod has them, which people have read."""

VARYING: Final = ("env", "resources")
"""Fields of our containers that depend on the pod; tests of their own say how."""


def expected(subject: Json, patched: Json) -> Json:
    """The whole pod that `subject` should become. Only what varies of our containers is taken from `patched`."""
    result = copy.deepcopy(subject)
    spec = result["spec"]
    own = spec.get("initContainers") or []
    for container in (*own, *spec["containers"]):
        _send_probes_to_the_proxy(container)
    given = patched["spec"]["initContainers"][:2]
    ours = [plain | {field: it[field] for field in VARYING} for plain, it in zip(OUR_CONTAINERS, given, strict=True)]
    spec["initContainers"] = ours + own
    spec["volumes"] = (spec.get("volumes") or []) + OUR_VOLUMES
    return result


def _send_probes_to_the_proxy(container: Json) -> None:
    holders = [(container, field) for field in ("startupProbe", "readinessProbe", "livenessProbe")]
    holders += [(container.get("lifecycle") or {}, field) for field in ("postStart", "preStop")]
    for holder, field in holders:
        probe = holder.get(field)
        if not probe:
            continue
        kinds = ("httpGet",) if field in ("postStart", "preStop") else ("httpGet", "tcpSocket", "grpc")
        declared = [probe.pop(kind) for kind in kinds if kind in probe and reachable(container, probe[kind]["port"])]
        if declared:
            probe["httpGet"] = {"path": f"/probes/{container['name']}/{field}", "port": 4191, "scheme": "HTTP"}


def reachable(container: Json, port: Any) -> bool:
    """Whether the kubelet would find a number for this port."""
    names = [entry.get("name") for entry in container.get("ports") or ()]
    return isinstance(port, int) or port in names or port.isdigit()


def normal(value: Any) -> str:
    """A text that is equal for equal JSON, in which true is not 1."""
    return json.dumps(value, sort_keys=True)
