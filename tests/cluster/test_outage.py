"""Every webhook replica dead for half a minute in the middle of a rollout: what asked for the mesh waits for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support import pods, processes
from tests.cluster.support.api import Api
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Sandbox, is_ready
from tests.cluster.support.waiting import eventually
from tests.cluster.support.webhook import WEBHOOK, replicas

OUTAGE_SECONDS: Final = 30.0
REPLICAS, SURGE = 200, 10
BEGUN: Final = 20
"""New pods that run when the webhook dies: the rollout is well under way, and far from over."""

MEANWHILE_SECONDS: Final = 0.5
"""The longest that creating a pod of another namespace may take during the outage, on two busy cores."""

ROLLOUT_SECONDS: Final = 400.0
END_SECONDS: Final = 180.0
GATES: Final = [{"name": "injector.mesh-tests/never"}]


@dataclass
class Seen:
    """Every pod of a namespace since the watch began: its object as last seen, and when it came (monotonic)."""

    last: dict[str, Json] = field(default_factory=dict)
    came: dict[str, float] = field(default_factory=dict)

    def started(self) -> list[Json]:
        """Pods that got beyond admission to a node."""
        return [pod for pod in self.last.values() if "nodeName" in pod["spec"]]


@contextmanager
def watching(api: Api, namespace: str, seen: Seen) -> Iterator[None]:
    """Follow all pods of a namespace while the block runs."""
    over = threading.Event()

    def follow() -> None:
        while not over.is_set():
            for _, pod in api.watch("Pod", namespace, seconds=5.0):
                name = pod["metadata"]["name"]
                seen.last[name] = pod
                seen.came.setdefault(name, time.monotonic())

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def deployment(version: str, **fields: Any) -> Json:
    spec = pods.spec(pods.container(args=["sleep", "1h"]), terminationGracePeriodSeconds=1, **fields)
    strategy = {"rollingUpdate": {"maxSurge": SURGE, "maxUnavailable": 0}}
    template = {"version": version}
    return pods.workload("Deployment", "web", spec, annotations=template, replicas=REPLICAS, strategy=strategy)


def has_proxy(pod: Json) -> bool:
    return any(container["name"] == PROXY_CONTAINER for container in pod["spec"].get("initContainers", []))


def ready_of_second(seen: Seen) -> int:
    return sum(is_ready(pod) for pod in list(seen.last.values()) if pod["metadata"]["annotations"]["version"] == "2")


@pytest.mark.timeout(900, func_only=True)
def test_no_pod_starts_without_a_sidecar_and_nobody_else_notices(
    mesh: Mesh, api: Api, meshed: Sandbox, plain: Sandbox
) -> None:
    # The old pods are as many, but held back by a gate: what is to be shown are the 200 starts of the new ones.
    meshed.create(deployment("1", schedulingGates=GATES))
    with step(f"{REPLICAS} pods of the first version"):
        api.wait("Deployment", "web", meshed.name, lambda d: _count(d, "replicas") == REPLICAS, seconds=90, what="made")
    webhooks = [processes.pod_cgroup(mesh.cluster, pod) for pod in replicas(api, WEBHOOK)]
    seen = Seen()
    with watching(api, meshed.name, seen):
        second = {"metadata": {"annotations": {"version": "2"}}, "spec": {"schedulingGates": None}}
        api.patch("Deployment", "web", {"spec": {"template": second}}, meshed.name)
        with step(f"the first {BEGUN} of the second version"):
            eventually(lambda: ready_of_second(seen), lambda ready: ready >= BEGUN, seconds=120, what="they are ready")
        with step(f"{len(webhooks)} webhook replicas dead for {OUTAGE_SECONDS:g} s"):
            with processes.kept_dead(webhooks, ["injector", "webhook"]):
                died = time.monotonic()
                outside, refusal = elsewhere(plain, meshed, until=died + OUTAGE_SECONDS)
            rose = time.monotonic()
        with step("the webhook answers again"):
            mesh.wait_ready()
        nudge(api, meshed)
        with step(f"{REPLICAS} pods of the second version"):
            api.wait("Deployment", "web", meshed.name, _done, seconds=ROLLOUT_SECONDS, what="rolled out")

    during = [name for name, came in seen.came.items() if died + 1 < came < rose]
    assert during == [], "the webhook was not dead, and this test has shown nothing"
    assert "failed calling webhook" in refusal
    assert len(seen.started()) >= REPLICAS
    assert [pod["metadata"]["name"] for pod in seen.last.values() if not has_proxy(pod)] == []

    say(f"  {len(outside)} pods created elsewhere meanwhile, the slowest in {max(outside):.2f} s")
    assert len(outside) > OUTAGE_SECONDS
    assert max(outside) < MEANWHILE_SECONDS
    with step("all of them end"):  # so that the next test has the nodes to itself
        api.delete("Deployment", "web", meshed.name)
        for pod in api.list("Pod", meshed.name):
            api.wait_gone("Pod", pod["metadata"]["name"], meshed.name, seconds=END_SECONDS)


def nudge(api: Api, meshed: Sandbox) -> None:
    """Have the ReplicaSets looked at now: their controller doubles its pause with each refused pod, to many minutes,
    and any change to them ends it. What is to be shown here is that their pods come, not how long Kubernetes pauses."""
    for found in api.list("ReplicaSet", meshed.name):
        change = {"metadata": {"annotations": {"injector.mesh-tests/nudged": "yes"}}}
        api.patch("ReplicaSet", found["metadata"]["name"], change, meshed.name)


def elsewhere(plain: Sandbox, meshed: Sandbox, *, until: float) -> tuple[list[float], str]:
    """Life in a namespace outside the mesh: seconds that each creation took, and a pod that starts and gets ready. And
    in one inside: what the API server says to a person who creates a pod."""
    plain.start(pods.pod("first"))
    with pytest.raises(ApiError) as refused:
        meshed.create(pods.pod("by-hand"))
    seconds = []
    while time.monotonic() < until:
        began = time.monotonic()
        answer = plain.api.create(pods.pod("web"), plain.name, dry_run=True)
        seconds.append(time.monotonic() - began)
        assert answer.warnings == ()
        time.sleep(0.2)
    plain.start(pods.pod("second"))
    return seconds, refused.value.message


def _count(deployment: Json, field: str) -> int:
    return int(deployment.get("status", {}).get(field, 0))


def _done(deployment: Json) -> bool:
    counts = {_count(deployment, field) for field in ("replicas", "updatedReplicas", "availableReplicas")}
    return counts == {deployment["spec"]["replicas"]}
