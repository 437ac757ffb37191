"""PURE. How far a rolling update is, by the status that its controller keeps (what `kubectl rollout status` reads)."""

from dataclasses import dataclass

from injector.inject.model import Json


@dataclass(frozen=True, slots=True)
class Rollout:
    """`done` of `total` pods are new and available. `stuck` says why it will not finish by itself, "" while it may."""

    done: int
    total: int
    finished: bool
    stuck: str = ""


def rollout(workload: Json) -> Rollout:
    """The state of a Deployment, StatefulSet or DaemonSet."""
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return Rollout(0, _wanted(workload), finished=False)
    return {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}[workload["kind"]](
        workload
    )


def _wanted(workload: Json) -> int:
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled", 0))
    replicas = workload["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _deployment(workload: Json) -> Rollout:
    total, status = _wanted(workload), workload.get("status") or {}
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    finished = updated >= total and status.get("replicas", 0) <= updated and available >= updated
    if workload["spec"].get("paused"):
        return Rollout(min(updated, available), total, finished, "it is paused: kubectl rollout resume")
    failed = next((c for c in status.get("conditions") or () if c.get("reason") == "ProgressDeadlineExceeded"), None)
    stuck = f"no progress: {failed.get('message', '')}" if failed and not finished else ""
    return Rollout(min(updated, available), total, finished, stuck)


def _stateful_set(workload: Json) -> Rollout:
    total, status = _wanted(workload), workload.get("status") or {}
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return Rollout(0, total, finished=False, stuck="its update strategy is OnDelete: delete its pods yourself")
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    due = max(0, total - partition)
    return Rollout(min(updated, ready), due, finished=updated >= due and ready >= total)


def _daemon_set(workload: Json) -> Rollout:
    total, status = _wanted(workload), workload.get("status") or {}
    if (workload["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        return Rollout(0, total, finished=False, stuck="its update strategy is OnDelete: delete its pods yourself")
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    return Rollout(min(updated, available), total, finished=updated >= total and available >= total)
