"""CPU and memory of the proxy's containers, such that the pod keeps the class and passes the quotas that it had.

A ResourceQuota on limits refuses a pod in which one container has none; a pod is Guaranteed only while every container
has limits equal to its requests (core/v1 qos). So where all of the pod's own containers have a limit, ours get one.
"""

from fractions import Fraction
from typing import Final

from injector.inject import quantity
from injector.inject.decision import all_containers
from injector.inject.model import Json
from injector.inject.settings import DEFAULT, Settings

RESOURCES: Final = ("cpu", "memory")

IMPLIED_LIMIT: Final = {"cpu": "1", "memory": "256Mi"}
"""Where only the pod's own containers have limits, and then no more than the largest of those, for a LimitRange may
hold every container to a maximum. One core is one worker's most; 256 MiB are some 20,000 open encrypted connections
at 12 KiB each."""

GUARANTEED_LIMIT: Final = {"cpu": "100m", "memory": "64Mi"}
"""In a Guaranteed pod, where limits are set aside whole, and the least that is implied elsewhere: a tenth of a core
carries some thousand requests a second."""


def proxy_resources(spec: Json, settings: Settings) -> Json:
    """The `resources` field for both of our containers; empty where the pod declares its resources as a whole."""
    declared = {
        "cpu": (settings.proxy_cpu_request, settings.proxy_cpu_limit),
        "memory": (settings.proxy_memory_request, settings.proxy_memory_limit),
    }
    whole_pod = spec.get("resources") or {}
    guaranteed = _guaranteed(spec)
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for resource, (request, limit) in declared.items():
        chosen = settings.origins.get(f"proxy-{resource}-request") != DEFAULT
        if any(resource in (whole_pod.get(part) or {}) for part in ("requests", "limits")) and not chosen:
            # Requests of containers may not exceed the pod's own (KEP-2837), so a default of ours must not be added.
            request = ""
        elif not limit and _all_have(spec, "limits", resource):
            limit = GUARANTEED_LIMIT[resource] if guaranteed else _implied_limit(spec, resource)
            if chosen and quantity.parse(limit) < quantity.parse(request or "0"):
                limit = request
        if guaranteed and limit:
            request = limit
        if request:
            requests[resource] = request
        if limit:
            limits[resource] = limit
    return {part: amounts for part, amounts in (("limits", limits), ("requests", requests)) if amounts}


def workers(resources: Json) -> int:
    """Worker threads for a proxy with these resources: the CPU limit in whole cores, one without a limit."""
    limit = (resources.get("limits") or {}).get("cpu")
    return quantity.ceil_cores(limit) if limit else 1


def _implied_limit(spec: Json, resource: str) -> str:
    least, most = GUARANTEED_LIMIT[resource], IMPLIED_LIMIT[resource]
    largest = max((str(container["resources"]["limits"][resource]) for container in all_containers(spec)), key=_size)
    return sorted((least, largest, most), key=_size)[1]


def _size(text: str) -> Fraction:
    try:
        return quantity.parse(text)
    except ValueError:
        return Fraction(0)  # nothing that the API server will take


def _all_have(spec: Json, part: str, resource: str) -> bool:
    containers = list(all_containers(spec))
    return bool(containers) and all(
        resource in ((container.get("resources") or {}).get(part) or {}) for container in containers
    )


def _guaranteed(spec: Json) -> bool:
    """Whether every container has CPU and memory limits that equal its requests; a request not given is its limit."""
    containers = list(all_containers(spec))
    for container in containers:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for resource in RESOURCES:
            if resource not in limits or not quantity.equal(limits[resource], requests.get(resource, limits[resource])):
                return False
    return bool(containers)
