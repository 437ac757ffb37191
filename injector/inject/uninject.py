"""A pod without anything of ours: the inverse of the patch."""

from injector.inject import probes
from injector.inject.model import Json
from injector.inject.names import CONTAINERS, VOLUMES
from injector.inject.presence import env_value, proxy_container
from injector.inject.shape import shape_faults


def uninject(pod: Json) -> Json:
    """The pod without our containers and volumes and with its own probes; without ours, an equal one. What does not
    have the shape of a pod is returned as it is. The pod is not changed; the result shares what is the same.

    An imagePullSecret stays: it may have been the pod's before it was the mesh's.
    """
    return pod if shape_faults(pod) else bare(pod)


def bare(pod: Json) -> Json:
    """The same for a pod whose shape has been looked at."""
    spec = dict(pod["spec"])
    for field, ours in (("initContainers", CONTAINERS), ("volumes", VOLUMES)):
        entries = spec.get(field)
        if not entries:
            continue
        spec[field] = [entry for entry in entries if entry["name"] not in ours]
        if not spec[field]:
            del spec[field]
    proxy = proxy_container(pod)
    if proxy is not None:
        spec = probes.restored(spec, env_value(proxy, "INJECTOR_PROBES").replace("$$", "$"))
    return {**pod, "spec": spec}
