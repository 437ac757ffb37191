"""How far a rolling update is."""

from typing import Any

import pytest

from injector.cli.rollout import Rollout, rollout


def workload(kind: str, status: dict[str, Any], generation: int = 2, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": generation}, "spec": spec, "status": status}


def seen(**status: Any) -> dict[str, Any]:
    return {"observedGeneration": 2, **status}


DEADLINE = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (workload("Deployment", {"observedGeneration": 1}, replicas=3), Rollout(0, 3, finished=False)),
        (workload("Deployment", {}), Rollout(0, 1, finished=False)),
        (workload("Deployment", seen(replicas=4, updatedReplicas=2, availableReplicas=3), replicas=3),
         Rollout(2, 3, finished=False)),
        (workload("Deployment", seen(replicas=4, updatedReplicas=3, availableReplicas=4), replicas=3),
         Rollout(3, 3, finished=False)),
        (workload("Deployment", seen(replicas=3, updatedReplicas=3, availableReplicas=2), replicas=3),
         Rollout(2, 3, finished=False)),
        (workload("Deployment", seen(replicas=3, updatedReplicas=3, availableReplicas=3), replicas=3),
         Rollout(3, 3, finished=True)),
        (workload("Deployment", seen(), replicas=0), Rollout(0, 0, finished=True)),
        (workload("Deployment", seen(conditions=[DEADLINE]), replicas=1),
         Rollout(0, 1, finished=False, stuck="no progress: timed out")),
        (workload("StatefulSet", seen(updatedReplicas=1, readyReplicas=3), replicas=3), Rollout(1, 3, finished=False)),
        (workload("StatefulSet", seen(updatedReplicas=3, readyReplicas=3), replicas=3), Rollout(3, 3, finished=True)),
        (workload("StatefulSet", seen(updatedReplicas=1, readyReplicas=3), replicas=3,
                  updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
         Rollout(1, 1, finished=True)),
        (workload("DaemonSet", seen(desiredNumberScheduled=2, updatedNumberScheduled=1, numberAvailable=2)),
         Rollout(1, 2, finished=False)),
        (workload("DaemonSet", seen(desiredNumberScheduled=2, updatedNumberScheduled=2, numberAvailable=2)),
         Rollout(2, 2, finished=True)),
        (workload("DaemonSet", seen()), Rollout(0, 0, finished=True)),
    ],
)  # fmt: skip
def test_a_state(value: dict[str, Any], expected: Rollout) -> None:
    assert rollout(value) == expected


def test_what_never_ends_by_itself_is_told() -> None:
    for kind in ("StatefulSet", "DaemonSet"):
        assert "OnDelete" in rollout(workload(kind, seen(), updateStrategy={"type": "OnDelete"})).stuck
    assert "paused" in rollout(workload("Deployment", seen(), paused=True)).stuck
