"""A pod without anything of ours: the inverse of the patch."""

import copy

from injector.inject import probes
from injector.inject.model import Json
from injector.inject.names import CONTAINERS, VOLUMES
from injector.inject.presence import env_value, proxy_container


def uninject(pod: Json) -> Json:
    """A copy without our containers and volumes and with the pod's own probes; without ours, an equal copy.

    An imagePullSecret stays: it may have been the pod's before it was the mesh's.
    """
    bare = copy.deepcopy(pod)
    spec = bare.get("spec")
    proxy = proxy_container(pod)
    if not isinstance(spec, dict):
        return bare
    for field, ours in (("initContainers", CONTAINERS), ("volumes", VOLUMES)):
        entries = spec.get(field)
        if not entries:
            continue
        spec[field] = [entry for entry in entries if entry.get("name") not in ours]
        if not spec[field]:
            del spec[field]
    if proxy is not None:
        probes.restore(spec, env_value(proxy, "INJECTOR_PROBES").replace("$$", "$"))
    return bare
