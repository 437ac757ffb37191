"""A pod without anything of ours: the inverse of the patch."""

import copy

from injector.inject import probes
from injector.inject.model import Json
from injector.inject.names import CONTAINERS, VOLUMES
from injector.inject.presence import env_value, proxy_container
from injector.inject.shape import shape_faults


def uninject(pod: Json) -> Json:
    """A copy without our containers and volumes and with the pod's own probes; without ours, an equal copy. What does
    not have the shape of a pod is copied as it is.

    An imagePullSecret stays: it may have been the pod's before it was the mesh's.
    """
    bare = copy.deepcopy(pod)
    if shape_faults(pod):
        return bare
    spec, proxy = bare["spec"], proxy_container(pod)
    for field, ours in (("initContainers", CONTAINERS), ("volumes", VOLUMES)):
        entries = spec.get(field)
        if not entries:
            continue
        spec[field] = [entry for entry in entries if entry["name"] not in ours]
        if not spec[field]:
            del spec[field]
    if proxy is not None:
        probes.restore(spec, env_value(proxy, "INJECTOR_PROBES").replace("$$", "$"))
    return bare
