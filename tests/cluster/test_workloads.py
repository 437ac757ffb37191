"""Every kind of workload is meshed, and reached over both address families from a pod on the other node."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from injector.inject.names import INIT_CONTAINER, PROXY_CONTAINER
from tests.cluster.support import pods
from tests.cluster.support.sandbox import Sandbox
from tests.cluster.support.traffic import counted_exchange
from tests.cluster.support.waiting import eventually

KINDS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")

MINUTELY: Final = "* * * * *"


def _create_server(meshed: Sandbox, kind: str, node: str) -> None:
    if kind == "Pod":
        meshed.create(pods.pod("server", node=node))
        return
    more: dict[str, Any] = {"StatefulSet": {"serviceName": "server"}, "CronJob": {"schedule": MINUTELY}}.get(kind, {})
    meshed.create(pods.workload(kind, "server", pods.spec(node=node), **more))
    if kind == "CronJob":
        # Made to be a minute late already, so that its controller starts a Job now and not at the next full minute.
        late = datetime.now(UTC) - timedelta(minutes=2)
        change = {"status": {"lastScheduleTime": late.strftime("%Y-%m-%dT%H:%M:%SZ")}}
        meshed.api.patch(kind, "server", change, meshed.name, subresource="status")


@pytest.mark.parametrize("kind", KINDS)
def test_is_meshed_and_every_byte_passes_both_proxies(kind: str, meshed: Sandbox, nodes: tuple[str, str]) -> None:
    client = meshed.begin(pods.pod("client", node=nodes[0]))
    _create_server(meshed, kind, nodes[1])
    (server,) = meshed.wait_pods("server", 1)
    client.wait_ready()

    for each in (client, server):
        first_two = [container["name"] for container in each.object["spec"]["initContainers"][:2]]
        assert first_two == [INIT_CONTAINER, PROXY_CONTAINER]
        assert each.meshed
    assert (client.node, server.node) == nodes
    for family in (4, 6):
        counted_exchange(client, server.at(pods.TCP, family), (client, "outbound"), (server, "inbound"))

    info = server.metrics().labels("info")
    assert (info["workload_kind"], info["workload"]) == (kind, "server")


def test_metrics_carry_the_names_that_kubernetes_has_for_the_pod(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    (pod,) = meshed.start(pods.pod("named", node=nodes[1]))

    info = pod.metrics().labels("info")

    expected = {
        "pod": "named",
        "namespace": meshed.name,
        "node": nodes[1],
        "service_account": "default",
        "workload_kind": "Pod",
        "workload": "named",
    }
    assert expected.items() <= info.items()
    assert info["version"]


def test_a_rolled_out_deployment_is_meshed_anew_and_reached_by_its_service(
    meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    (client,) = meshed.start(pods.pod("client", node=nodes[0]))
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    meshed.create(pods.workload("Deployment", "server", pods.spec(), replicas=2, strategy=strategy))
    meshed.create(pods.service("server"))
    before = {pod.name for pod in meshed.wait_pods("server", 2)}

    change = {"spec": {"template": {"metadata": {"annotations": {"injector.mesh/log-level": "debug"}}}}}
    meshed.api.patch("Deployment", "server", change, meshed.name)

    meshed.kubectl("rollout", "status", "deployment/server", "--timeout=60s")
    after = {pod.name: pod for pod in meshed.wait_pods("server", 2)}
    assert before.isdisjoint(after)
    assert all(pod.meshed for pod in after.values())
    answering = eventually(
        lambda: client.app_json("get", f"http://server:{pods.HTTP}/")["pod"],
        lambda name: name in after,
        seconds=30,
        what="the Service leads to a new pod",
    )
    assert after[answering].metrics().connections("inbound") > 0
