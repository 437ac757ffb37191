"""Services of every kind through the mesh, and endpoints that come and go under load."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from injector.inject.names import DISABLED, INJECT
from tests.cluster.support import customers, pods, proxies
from tests.cluster.support.api import Api
from tests.cluster.support.kinds import Json
from tests.cluster.support.mesh import rolled_out
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.waiting import eventually

MOST: Final = 20
"""Endpoints at the height of the load."""
START_SECONDS: Final = 120.0
DRAIN_SECONDS: Final = 240.0
"""Of the mesh's own parts in turns, and as many pods of the application: 18 s where nobody else is busy."""
REACH_SECONDS: Final = 30.0
EXTERNAL: Final = "198.51.100.7"
"""RFC 5737: nobody has it, but for a Service that says so."""
AFFINITY: Final = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 300}}}


def service(name: str, *ports: tuple[str, int, int | str], **fields: Any) -> Json:
    """A Service with ports (name, port, targetPort), before the pods labelled `app: server` unless `fields` differ."""
    listed = [{"name": port, "port": number, "targetPort": target} for port, number, target in ports]
    spec: Json = {"selector": {"app": "server"}, "ports": listed, **fields}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def services(server: Pod) -> Iterator[Json]:
    """One of each kind, all before the same pod, and what only some of them need."""
    yield service("plain", ("http", 80, pods.HTTP))
    yield service("named", ("web", 80, "http"))
    yield service("several", ("tcp", 81, pods.TCP), ("one", 82, "http"), ("two", 83, pods.HTTP))
    yield service("headless", ("http", pods.HTTP, pods.HTTP), clusterIP="None")
    yield service("dual", ("http", 80, pods.HTTP), ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv6", "IPv4"])
    yield service("alias", type="ExternalName", externalName=f"plain.{server.sandbox.name}.svc.cluster.local")
    yield service("external", ("http", 80, pods.HTTP), externalIPs=[EXTERNAL])
    unselected = service("unselected", ("http", 80, pods.HTTP))
    del unselected["spec"]["selector"]
    yield unselected
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "unselected-1", "labels": {"kubernetes.io/service-name": "unselected"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [server.address(4)], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": pods.HTTP, "protocol": "TCP"}],
    }


def test_every_kind_of_service_leads_to_its_pod(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    client, server = meshed.start(pods.pod("client", node=nodes[0]), pods.pod("server", node=nodes[1]))
    for each in services(server):
        meshed.create(each)
    v6 = meshed.api.get("Service", "dual", meshed.name)["spec"]["clusterIP"]
    encrypted = {
        "plain": "plain",
        "named target port": "named",
        "second of several ports": "several:82",
        "last of several ports": "several:83",
        "headless": f"headless:{pods.HTTP}",
        "IPv6 first": f"[{v6}]",
        "without selector": "unselected",
        "name of a name": "alias",
        "pod": server.at(pods.HTTP),
        "pod by IPv6": server.at(pods.HTTP, 6),
    }
    for kind, host in encrypted.items():
        wait_answer(client, host)
        before = proxies.plaintext(client, "outbound"), proxies.plaintext(server, "inbound")
        assert answering(client, host) == "server", kind
        after = proxies.plaintext(client, "outbound"), proxies.plaintext(server, "inbound")
        assert after == before, f"{kind}: plaintext"

    # Not ours: where such an address leads is nobody's promise, so the bytes pass as they are.
    wait_answer(client, EXTERNAL)
    before = proxies.plaintext(client, "outbound"), proxies.plaintext(server, "inbound")
    assert answering(client, EXTERNAL) == "server"
    after = proxies.plaintext(client, "outbound"), proxies.plaintext(server, "inbound")
    assert after == (before[0] + 1, before[1] + 1)


def test_a_pod_that_is_not_ready_is_reached_where_it_is_published(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    """As members of a StatefulSet find each other before they can be ready."""
    never = {"exec": {"command": ["/app", "get", "http://localhost:1/"]}}
    early = pods.spec(pods.container(readinessProbe=never), node=nodes[1])
    (client,) = meshed.start(pods.pod("client", node=nodes[0]))
    server = meshed.begin(pods.pod("server", early))
    ports = ("http", pods.HTTP, pods.HTTP)
    meshed.create(service("published", ports, clusterIP="None", publishNotReadyAddresses=True))
    meshed.create(service("ready-only", ("http", 80, pods.HTTP)))
    server.wait(_application_started, "its application runs")

    wait_answer(client, f"published:{pods.HTTP}")
    assert proxies.plaintext(server, "inbound") == 0
    assert client.app_fails("get", "http://ready-only/"), "a Service of ready pods has none"


def _application_started(pod: Json) -> bool:
    return any(status.get("started") for status in pod["status"].get("containerStatuses", []))


def test_a_client_stays_with_its_endpoint_where_the_service_says_so(meshed: Sandbox) -> None:
    meshed.create(pods.workload("Deployment", "server", pods.spec(), replicas=3))
    meshed.create(service("sticky", ("http", 80, pods.HTTP), **AFFINITY))
    meshed.create(service("spread", ("http", 80, pods.HTTP)))
    (client,) = meshed.start(pods.pod("client"))
    meshed.wait_pods("server", 3)
    wait_answer(client, "sticky")

    assert len({answering(client, "sticky") for _ in range(12)}) == 1
    # Twelve picks of two at random all go to one of three with a probability below 10^-5.
    assert len({answering(client, "spread") for _ in range(12)}) > 1


def test_an_unmeshed_endpoint_is_spoken_to_in_plain_and_counted(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    bare = pods.pod("server", node=nodes[1], annotations={INJECT: DISABLED})
    client, _ = meshed.start(pods.pod("client", node=nodes[0]), bare)
    meshed.create(service("plain", ("http", 80, pods.HTTP)))
    reasons = {"direction": "outbound", "reason": "unmeshed_endpoint"}
    assert client.metrics().total("tcp_plaintext_total", **reasons) == 0
    wait_answer(client, "plain")

    assert answering(client, "plain") == "server"
    # A connection for the first request, and another one if that did not wait long enough for the second.
    assert client.metrics().total("tcp_plaintext_total", **reasons) in (1, 2)


def test_a_pod_without_dns_is_meshed(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    nowhere = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}
    client, server = meshed.start(
        pods.pod("client", pods.spec(node=nodes[0], **nowhere)), pods.pod("server", node=nodes[1])
    )

    assert answering(client, server.at(pods.HTTP)) == "server"
    assert proxies.plaintext(server, "inbound") == 0


def answering(client: Pod, host: str) -> str:
    """The name of the pod that answers."""
    return str(client.app_json("get", f"http://{host}/")["pod"])


def wait_answer(client: Pod, host: str) -> None:
    """Ask until somebody answers: DNS and what a proxy is told of a new Service follow within seconds."""
    read: Callable[[], str] = lambda: answering(client, host)  # noqa: E731
    eventually(read, bool, seconds=REACH_SECONDS, what=f"{host} answers")


# --- endpoints that change


@pytest.fixture
def afterwards(api: Api, nodes: tuple[str, str]) -> Iterator[None]:
    """The second node takes pods again."""
    yield
    api.patch("Node", nodes[1], {"spec": {"unschedulable": None}})


@pytest.mark.timeout(600, func_only=True)
def test_no_connection_fails_while_endpoints_come_and_go(
    api: Api, meshed: Sandbox, nodes: tuple[str, str], afterwards: None
) -> None:
    url = f"http://server:{pods.HTTP}/"
    meshed.create(pods.service("server"))
    meshed.create(pods.lossless("server", replicas=1))
    meshed.wait_pods("server", 1)
    clients = meshed.start(
        customers.customer("kept", url, node=nodes[0], keep=True, pause="20ms"),
        customers.customer("anew", url, node=nodes[0], pause="20ms"),
    )
    for change in (scaled_out, restarted_one_by_one, drained, scaled_in):
        with step(change.__name__.replace("_", " ")):
            change(api, meshed, nodes)
            for client in clients:
                customers.wait_more(client, 20)
    for client in clients:
        say(f"  {client.name}: {customers.tally(client)}")
        assert customers.failures(client) == []


def scaled_out(api: Api, meshed: Sandbox, _: tuple[str, str]) -> None:
    api.patch("Deployment", "server", {"spec": {"replicas": MOST}}, meshed.name)
    found = meshed.wait_pods("server", MOST, seconds=START_SECONDS)

    def idle() -> list[str]:
        return [pod.name for pod in found if not pod.metrics().connections("inbound")]

    eventually(idle, lambda names: names == [], seconds=REACH_SECONDS, what="every new pod gets its share")


def restarted_one_by_one(api: Api, meshed: Sandbox, _: tuple[str, str]) -> None:
    meshed.kubectl("rollout", "restart", "deployment/server")
    api.wait("Deployment", "server", meshed.name, rolled_out, seconds=START_SECONDS, what="rolled out")


def drained(_: Api, meshed: Sandbox, nodes: tuple[str, str]) -> None:
    """The mesh's own parts that run there have to leave, too."""
    kubectl = meshed.cluster.kubectl
    kubectl("drain", nodes[1], "--ignore-daemonsets", "--delete-emptydir-data", "--force", seconds=DRAIN_SECONDS)
    meshed.wait_pods("server", MOST, seconds=START_SECONDS)


def scaled_in(api: Api, meshed: Sandbox, _: tuple[str, str]) -> None:
    api.patch("Deployment", "server", {"spec": {"replicas": 1}}, meshed.name)
    meshed.wait_pods("server", 1, seconds=START_SECONDS)
