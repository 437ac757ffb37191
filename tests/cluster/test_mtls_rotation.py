"""Issuer and root replaced under load, killed half way and resumed: nobody fails, and who restarts comes up."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from injector.inject.names import SYSTEM_NAMESPACE
from tests.cluster.support import customers, pods, proxies
from tests.cluster.support.api import Api
from tests.cluster.support.command import injector, start_injector
from tests.cluster.support.control_plane import DISCOVERY, IDENTITY, add_arguments, restored
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.waiting import eventually
from tests.cluster.support.webhook import wait_led

PODS: Final = 20
LIFETIME_HOURS: Final = 0.1
"""6 minutes: certificates also renew by themselves while everything else changes."""
RENEW_WITHIN_SECONDS: Final = 15
"""After another issuer is wanted; an hour where nobody hurries."""
START_SECONDS: Final = 120.0
ISSUER_SECONDS: Final = 120.0
ROOT_SECONDS: Final = 240.0
"""Twice the roots must reach every pod, which the kubelet does when it next looks after each."""
LOADS: Final = ("kept", "anew")
URL: Final = f"http://ring:{pods.HTTP}/"


@pytest.fixture(autouse=True)
def afterwards(mesh: Mesh) -> Iterator[None]:
    """Whatever this leaves, the next one finds the mesh as it is installed."""
    with restored(mesh):
        yield


def ring(sandbox: Sandbox) -> list[Pod]:
    """Pods that are each server and client of all, over connections that they keep and over new ones."""
    loads = [customers.container(URL, name=name, keep=name == "kept", clients=1, pause="200ms") for name in LOADS]
    sandbox.create(pods.service("ring"))
    sandbox.create(pods.workload("Deployment", "ring", pods.spec(pods.container(), *loads), replicas=PODS))
    return sandbox.wait_pods("ring", PODS, seconds=START_SECONDS)


def failures(members: list[Pod]) -> set[str]:
    return {f"{pod.name} {line}" for pod in members for name in LOADS for line in customers.failures(pod, name)}


def public(api: Api) -> dict[str, str]:
    """What the controller publishes: `roots.pem`, `issuer.crt`, and `state.json`, which says how far a rotation is."""
    return dict(api.get("ConfigMap", "injector-identity", SYSTEM_NAMESPACE)["data"])


def rotate(mesh: Mesh, what: str, *, seconds: float) -> None:
    code, output, faults = injector(
        mesh.cluster, "identity", "rotate", what, "--timeout", f"{seconds:g}s", seconds=seconds + 30
    )
    assert code == 0, output + faults


@pytest.mark.timeout(700, func_only=True)
def test_issuer_and_root_are_rotated_under_load(mesh: Mesh, api: Api, meshed: Sandbox) -> None:
    add_arguments(mesh, IDENTITY, f"--certificate-lifetime-hours={LIFETIME_HOURS}")
    add_arguments(mesh, DISCOVERY, f"--renew-within-seconds={RENEW_WITHIN_SECONDS}")
    with step(f"{PODS} pods"):
        members = ring(meshed)
    customers.wait_more(members[0], 5, "anew")
    early = failures(members)  # whoever came first found a Service without endpoints
    before = public(api)
    issuer, roots = before["issuer.crt"], before["roots.pem"]

    with step("another issuer"):
        rotate(mesh, "issuer", seconds=ISSUER_SECONDS)
    assert public(api)["issuer.crt"] != issuer
    assert public(api)["roots.pem"] == roots
    assert failures(members) - early == set()

    with step("another root, and the leader killed half way"):
        half_way(mesh, api, roots)
        # Nobody asks again: what was begun is finished by whoever leads next.
        eventually(
            partial(public, api),
            lambda now: roots not in now["roots.pem"] and now["roots.pem"].count("BEGIN") == 1,
            seconds=ROOT_SECONDS,
            what="the old root is trusted no more",
        )
    assert failures(members) - early == set()

    with step("restarted sidecars"):
        for pod in members[:3]:
            proxies.kill(mesh.cluster, pod)
            customers.wait_more(pod, 5, "anew")
    total = sum(customers.tally(pod, name).done for pod in members for name in LOADS)
    say(f"  {total} requests, and none failed but for the killed sidecars' own")
    started = meshed.start(customers.customer("newcomer", URL))[0]
    customers.wait_more(started, 10)
    assert customers.failures(started) == []


def half_way(mesh: Mesh, api: Api, roots: str) -> None:
    """Begin a rotation of the root, and kill both who asked for it and the controller's leader once two are trusted."""
    leader = wait_led(api)
    asking = start_injector(mesh.cluster, "identity", "rotate", "root")
    try:
        eventually(
            partial(public, api),
            lambda now: roots in now["roots.pem"] and now["roots.pem"].count("BEGIN") == 2,
            seconds=60.0,
            what="two roots are trusted",
        )
    finally:
        asking.kill()
        asking.communicate()
    api.delete("Pod", leader, SYSTEM_NAMESPACE, grace_seconds=0)
    wait_led(api, other_than=leader)
