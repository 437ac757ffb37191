"""When a pod reached which state, from the states its watch told of. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SCHEDULED, SANDBOX, READY = "scheduled", "sandbox", "ready"
_CONDITIONS = {"PodScheduled": SCHEDULED, "PodReadyToStartContainers": SANDBOX, "Ready": READY}


@dataclass(slots=True)
class Trace:
    """Seconds from the create request to the first word of each milestone, in the order they were told of.

    Milestones: `scheduled`, `sandbox`, `NAME running`, `NAME ended` for each container, `ready`.
    """

    created: float
    reached: dict[str, float] = field(default_factory=dict)

    def see(self, pod: dict[str, Any], now: float) -> None:
        """The pod as it is told of at `now`, on the clock of `created`."""
        for milestone in _milestones(pod.get("status") or {}):
            self.reached.setdefault(milestone, now - self.created)

    @property
    def ready(self) -> float | None:
        """Seconds to Ready, or None as long as it is not."""
        return self.reached.get(READY)


def _milestones(status: dict[str, Any]) -> list[str]:
    conditions = [each["type"] for each in status.get("conditions") or () if each["status"] == "True"]
    found = [_CONDITIONS[condition] for condition in conditions if condition in _CONDITIONS]
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        if "running" in state:
            found.append(f"{container['name']} running")
        if "terminated" in state:
            found.append(f"{container['name']} ended")
    # Ready last: what is told of in the same breath came before it.
    return sorted(found, key=lambda milestone: milestone == READY)
