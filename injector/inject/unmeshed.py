"""Pods that asked for the mesh and run without it: created before their namespace was opted in, or while it was not."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace
from injector.inject.presence import proxy_container
from injector.inject.review import Refused, Skipped, review_pod

_ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases in which no container of a pod runs or will run again (core/v1 PodPhase)."""

MOST_TOLD: Final = 768
"""Characters of a finding: an Event's note has room for 1024 (events/v1), and findings live as long as their pods."""


class UnmeshedReason(StrEnum):
    """Why a pod that asked for a proxy has none."""

    NOT_INJECTED = "not-injected"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Unmeshed:
    """A finding on an observed pod; `message` says what is amiss and what to do."""

    reason: UnmeshedReason
    message: str


def unmeshed(pod: Json, namespace: Namespace, installation: Installation) -> Unmeshed | None:
    """Whether this observed pod should have a proxy and has none; None where nothing is amiss.

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
        faults = "; ".join(fault.message for fault in review.faults)[:MOST_TOLD]
        return Unmeshed(UnmeshedReason.REFUSED, f"runs without a proxy, and would be refused today: {faults}")
    message = "runs without a proxy although it asked for one; recreate it, for example by a rollout restart"
    return Unmeshed(UnmeshedReason.NOT_INJECTED, message)
