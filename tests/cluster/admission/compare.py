"""When two pod specs mean the same, though the API server was asked for them in different ways.

It names the token volume of a ServiceAccount at random and adds it where it happens to stand; and it fills in the
defaults of probes before a webhook sees them, but not before a preview does.
"""

import copy
import json
import re
from collections.abc import Iterator
from typing import Final

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support.kinds import Json

API_TOKEN_VOLUME: Final = re.compile(r"kube-api-access-[a-z0-9]{5}")
PROBES: Final = "INJECTOR_PROBES"


def normal(spec: Json) -> Json:
    """A copy with what is random named the same, what is a set sorted, and defaults of declared probes filled in."""
    made = copy.deepcopy(spec)
    for entry in made.get("volumes", []):
        entry["name"] = API_TOKEN_VOLUME.sub("kube-api-access", entry["name"])
    made["volumes"] = sorted(made.get("volumes", []), key=lambda entry: str(entry["name"]))
    for container in _containers(made):
        mounts = container.get("volumeMounts", [])
        for mount in mounts:
            mount["name"] = API_TOKEN_VOLUME.sub("kube-api-access", mount["name"])
        container["volumeMounts"] = sorted(mounts, key=lambda mount: str(mount["mountPath"]))
        if container["name"] == PROXY_CONTAINER:
            _fill_in_probes(container)
    return made


def without_pod_requests(spec: Json) -> Json:
    """The spec without the requests of the pod as a whole: where it has limits as a whole, the API server fills them
    in from its containers' (core/v1 defaulting, KEP-2837), of which ours are some."""
    if "resources" not in spec:
        return spec
    return {**spec, "resources": {part: value for part, value in spec["resources"].items() if part != "requests"}}


def _containers(spec: Json) -> Iterator[Json]:
    yield from spec.get("initContainers", [])
    yield from spec.get("containers", [])


def _fill_in_probes(proxy: Json) -> None:
    for variable in proxy.get("env", []):
        if variable["name"] == PROBES:
            declared = json.loads(variable.get("value", "[]").replace("$$", "$"))
            variable["value"] = [_filled_in(declaration) for declaration in declared]


def _filled_in(declaration: Json) -> Json:
    """core/v1 SetDefaults_HTTPGetAction and SetDefaults_Probe (gRPC's service)."""
    handler = declaration["handler"]
    if "httpGet" in handler:
        handler["httpGet"] = {"path": "/", "scheme": "HTTP", **handler["httpGet"]}
    if "grpc" in handler:
        handler["grpc"] = {"service": "", **handler["grpc"]}
    return declaration
