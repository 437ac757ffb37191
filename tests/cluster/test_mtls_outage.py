"""The whole control plane dead through a renewal, a sidecar's restart and a scaled-out Service: who runs goes on, who
is new waits, says why, and recovers by itself."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from injector.inject.names import PREFIX, PROXY_CONTAINER
from tests.cluster.support import customers, pods, proxies
from tests.cluster.support.api import Api
from tests.cluster.support.control_plane import (
    CONTROLLER,
    DISCOVERY,
    IDENTITY,
    PARTS,
    REPLICAS,
    WEBHOOK,
    add_arguments,
    restored,
    scale,
)
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Pod, Sandbox, container_status
from tests.cluster.support.traffic import wait_reachable
from tests.cluster.support.waiting import eventually

LIFETIME_SECONDS: Final = 150
"""A certificate's; a third of it later it is renewed, or that is tried."""
RENEWAL_SECONDS: Final = LIFETIME_SECONDS / 3 * 1.5
"""With all its jitter."""
READY_MILLISECONDS: Final = 1000.0
RECOVERY_SECONDS: Final = 90.0
"""For the control plane's own start, and then the longest pause of who tries again."""
REFUSED_SECONDS: Final = 6.0
"""3 s of waiting for an answer, and twice that for two busy cores."""


@pytest.fixture(autouse=True)
def afterwards(mesh: Mesh) -> Iterator[None]:
    """Whatever these tests leave, the next one finds the mesh as it is installed."""
    with restored(mesh):
        yield


@pytest.mark.timeout(600, func_only=True)
def test_running_pods_go_on_and_new_ones_wait(mesh: Mesh, api: Api, meshed: Sandbox, nodes: tuple[str, str]) -> None:
    add_arguments(mesh, IDENTITY, f"--certificate-lifetime-hours={LIFETIME_SECONDS / 3600}")
    meshed.create(pods.service("server"))
    meshed.create(pods.workload("Deployment", "server", pods.spec(node=nodes[1]), replicas=1))
    (server,) = meshed.wait_pods("server", 1)
    url = f"http://server:{pods.HTTP}/"
    kept, anew, restarted = meshed.start(
        customers.customer("kept", url, node=nodes[0], keep=True),
        customers.customer("anew", url, node=nodes[0]),
        pods.pod("restarted", node=nodes[1]),
    )
    answers(restarted, caller=kept)  # and is known to the caller from now on: of strangers nobody could tell it later
    first_end = max(proxies.certificate_end(pod) for pod in (kept, anew, server))

    with step("without any control plane"):
        scale(api, 0, *PARTS)
        goes_on(kept, anew)
        returns_at_once(mesh, restarted, caller=kept)
        with step("a renewal that fails"):
            for pod in (kept, anew, server):
                tried = partial(proxies.failed_renewals, pod)
                eventually(tried, bool, seconds=RENEWAL_SECONDS, what=f"{pod.name} tried to renew")
        goes_on(kept, anew)
        new = new_pods_wait_and_say_why(api, meshed)
    with step("recovery"):
        scale(api, REPLICAS, CONTROLLER, IDENTITY, DISCOVERY)
        for name in new:
            Pod(meshed, name).wait_ready(seconds=RECOVERY_SECONDS)
        for pod in (kept, anew, server):
            end = partial(proxies.certificate_end, pod)
            eventually(end, first_end.__lt__, seconds=RECOVERY_SECONDS, what=f"{pod.name} has a new certificate")
    with step("life after the first certificates' end"):
        time.sleep(max(0.0, first_end - time.time()) + 1)
        goes_on(kept, anew)
    assert customers.failures(kept) + customers.failures(anew) == []
    came_to = customers.tally(kept)
    assert came_to.cut == 0, f"a connection was cut that one of its clients kept: {came_to}"


def goes_on(*served: Pod) -> None:
    for pod in served:
        customers.wait_more(pod, 20)
        assert customers.failures(pod) == []


def returns_at_once(mesh: Mesh, pod: Pod, *, caller: Pod) -> None:
    """Its next proxy has key and chain from the pod's memory, and needs nobody."""
    proxies.kill(mesh.cluster, pod)
    took = proxies.ready_milliseconds(pod)
    say(f"  a restarted sidecar was ready after {took} ms")
    assert took is not None
    assert took < READY_MILLISECONDS
    answers(pod, caller=caller)


def answers(pod: Pod, *, caller: Pod) -> None:
    assert caller.app_json("get", f"http://{pod.at(pods.HTTP)}/", container=customers.CONTAINER)["pod"] == pod.name


def new_pods_wait_and_say_why(api: Api, meshed: Sandbox) -> list[str]:
    """Scale out: without a webhook nothing is created; with it, pods come to a node and wait for a certificate."""
    api.patch("Deployment", "server", {"spec": {"replicas": 3}}, meshed.name)
    meshed.wait_event("FailedCreate", containing="failed calling webhook")
    with step("the webhook alone is back"):
        scale(api, REPLICAS, WEBHOOK)

        def waiting() -> list[str]:
            return [pod.name for pod in meshed.pods("server") if pod.meshed and says_why(pod)]

        names = eventually(waiting, lambda found: len(found) == 2, seconds=RECOVERY_SECONDS, what="two pods say why")
    for name in names:
        running = container_status(Pod(meshed, name).object, pods.APP).get("state", {})
        assert "running" not in running, "an application starts only when its proxy can speak for it"
    return names


def says_why(pod: Pod) -> bool:
    return "waiting for a certificate" in pod.logs(PROXY_CONTAINER) and proxies.ready_milliseconds(pod) is None


@pytest.mark.timeout(400, func_only=True)
def test_unknown_destinations_are_refused_inside_the_cluster_and_pass_outside(
    api: Api, meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    """A client that nobody answers: it must neither hang, nor send to the inside what should have been encrypted."""
    passes = {f"{PREFIX}unknown-destinations": "pass"}
    meshed.create(pods.service("server"))
    careful, careless, server = meshed.start(
        pods.pod("careful", node=nodes[0]),
        pods.pod("careless", node=nodes[0], annotations=passes),
        pods.pod("server", node=nodes[1]),
    )
    known = server.at(pods.HTTP)
    wait_reachable(careful, known.rpartition(":")[0])
    scale(api, 0, DISCOVERY)

    assert careful.app_json("get", f"http://{known}/")["pod"] == "server", "what is known stays in use"
    for address in (f"server:{pods.HTTP}", server.at(pods.TCP, 6)):
        began = time.monotonic()
        assert "reset" in careful.app_fails("get", f"http://{address}/")
        took = time.monotonic() - began
        assert 2.5 < took < REFUSED_SECONDS, f"{address} was refused after {took:.1f} s"
        assert careless.app_json("get", f"http://server:{pods.HTTP}/")["pod"] == "server"
    assert proxies.refused(careful, "outbound", "unknown_destination") == 2
    api_server = api.list("EndpointSlice", "default", labels="kubernetes.io/service-name=kubernetes")[0]
    outside = f"{api_server['endpoints'][0]['addresses'][0]}:{api_server['ports'][0]['port']}"
    assert careful.app("get", f"https://{outside}/livez") == "ok", "a node's own address is no pod's and no Service's"
