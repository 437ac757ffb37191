"""Pods that asked for the mesh and run without it: created before their namespace was opted in, or while it was not."""

from typing import Final

from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace
from injector.inject.presence import proxy_container
from injector.inject.review import Refused, Skipped, review_pod

_ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases in which no container of a pod runs or will run again (core/v1 PodPhase)."""


def unmeshed(pod: Json, namespace: Namespace, installation: Installation) -> str | None:
    """A sentence on why this observed pod should have a proxy and has none; None where nothing is amiss.

    A pod with a proxy is never reported, even if it would be given another today: its settings may have changed since.
    """
    if proxy_container(pod) is not None or (pod.get("status") or {}).get("phase") in _ENDED:
        return None
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return None
    review = review_pod(pod, namespace, installation, opted_in=namespace.opted_in)
    if isinstance(review, Skipped):
        return None
    if isinstance(review, Refused):
        return "runs without a proxy, and could not have one: " + "; ".join(fault.message for fault in review.faults)
    return "runs without a proxy although it asked for one; recreate it (restart its workload)"
