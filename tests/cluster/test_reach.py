"""Who reaches whom: from init containers, a pod itself, across the edge of the mesh, past the proxy, over UDP."""

from typing import Final

from injector.inject.names import DISABLED, INJECT
from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support import pods
from tests.cluster.support.metrics import Traffic
from tests.cluster.support.sandbox import Sandbox
from tests.cluster.support.traffic import RECEIVE, SEND, counted_exchange, uncounted_exchange, wait_reachable
from tests.cluster.support.waiting import eventually

RULES_SECONDS: Final = 30.0

SKIP = "injector.mesh/skip-"


def _host_subnets(addresses: tuple[str, str]) -> str:
    return f"{addresses[0]}/32,{addresses[1]}/128"


def test_an_init_container_calls_a_service_through_the_sidecar(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    outside = pods.pod("outside", node=nodes[0], annotations={INJECT: DISABLED})
    server, neighbour = meshed.start(pods.pod("server", node=nodes[1]), outside)
    meshed.create(pods.service("server"))
    wait_reachable(neighbour, "server")  # so that the one call that is counted below is the first and only one
    before = server.metrics().traffic("inbound")
    call = ["exchange", "--send", str(SEND), "--receive", str(RECEIVE), f"server:{pods.TCP}"]

    caller = pods.container("caller", args=call)
    (client,) = meshed.start(pods.pod("client", pods.spec(initContainers=[caller], node=nodes[0])))

    assert client.status_of("caller")["state"]["terminated"]["exitCode"] == 0
    assert client.metrics().traffic("outbound") == Traffic(SEND, RECEIVE)
    assert server.metrics().traffic("inbound") - before == Traffic(SEND, RECEIVE)
    for family in (4, 6):
        counted_exchange(server, client.at(pods.TCP, family), (server, "outbound"), (client, "inbound"))


def test_a_pod_reaches_itself_by_service_address_and_localhost(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    pod, other = meshed.start(pods.pod("self", node=nodes[0]), pods.pod("other", node=nodes[1]))
    # Not named like the pod, whose own name /etc/hosts resolves to its address.
    v4, v6 = meshed.create(pods.service("mirror", selects="self")).object["spec"]["clusterIPs"]
    hosts = (v4, f"[{v6}]", "mirror")
    wait_reachable(pod, *hosts)

    for host in hosts:
        counted_exchange(pod, f"{host}:{pods.TCP}", (pod, "outbound"), (pod, "inbound"))
    for address in (pod.at(pods.TCP, 4), pod.at(pods.TCP, 6), f"127.0.0.1:{pods.TCP}", f"[::1]:{pods.TCP}"):
        uncounted_exchange(pod, address, (pod, "outbound"), (pod, "inbound"))
    for family in (4, 6):
        counted_exchange(other, pod.at(pods.TCP, family), (other, "outbound"), (pod, "inbound"))


def test_the_edge_of_the_mesh_is_crossed_both_ways(meshed: Sandbox, plain: Sandbox, nodes: tuple[str, str]) -> None:
    inside, outside = meshed.begin(pods.pod("inside", node=nodes[0])), plain.begin(pods.pod("outside", node=nodes[1]))
    inside.wait_ready()
    outside.wait_ready()

    assert inside.meshed
    assert not outside.meshed
    for family in (4, 6):
        counted_exchange(outside, inside.at(pods.TCP, family), (inside, "inbound"))
        counted_exchange(inside, outside.at(pods.TCP, family), (inside, "outbound"))


def test_http_and_https_pass_and_a_closed_port_is_refused(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    """As without a mesh, but that the refusal comes as an answer: the proxy had taken the request already."""
    client, server = meshed.start(pods.pod("client", node=nodes[0]), pods.pod("server", node=nodes[1]))

    assert client.app_json("get", f"http://{server.at(pods.HTTP)}/")["pod"] == "server"
    assert client.app_json("get", f"https://{server.at(pods.HTTPS, 6)}/")["pod"] == "server"
    assert "503" in client.app_fails("get", f"http://{server.at(81)}/")


def test_udp_and_dns_do_not_touch_the_proxy(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    client, server = meshed.start(pods.pod("client", node=nodes[0]), pods.pod("server", node=nodes[1]))
    meshed.create(pods.service("server"))
    wait_reachable(client, "server")
    before = client.metrics().connections("outbound"), server.metrics().connections("inbound")

    for address in (server.at(pods.UDP, 4), server.at(pods.UDP, 6)):
        assert client.app("udp", address, "unharmed") == "unharmed"

    def by_service() -> str:
        try:
            return client.app("udp", f"server:{pods.UDP}", "unharmed")
        except Failure:
            return ""

    # UDP goes by kube-proxy's rules, which may come later than discovery's word on TCP.
    eventually(by_service, "unharmed".__eq__, seconds=RULES_SECONDS, what="kube-proxy knows the Service")
    assert len(client.app_json("resolve", f"server.{meshed.name}.svc.cluster.local")) == 2

    assert (client.metrics().connections("outbound"), server.metrics().connections("inbound")) == before


def test_what_is_skipped_inbound_does_not_touch_the_proxy(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    outside = pods.pod("outside", node=nodes[0], annotations={INJECT: DISABLED})
    client, outside_client = meshed.start(pods.pod("client", node=nodes[0]), outside)
    # A subnet is skipped for those without a proxy: mesh traffic is not redirected in the first place.
    from_outside = _host_subnets((outside_client.address(4), outside_client.address(6)))
    by_port, by_subnet = meshed.start(
        pods.pod("by-port", node=nodes[1], annotations={f"{SKIP}inbound-ports": str(pods.TCP)}),
        pods.pod("by-subnet", node=nodes[1], annotations={f"{SKIP}inbound-subnets": from_outside}),
    )

    for family in (4, 6):
        uncounted_exchange(client, by_port.at(pods.TCP, family), (by_port, "inbound"))
        uncounted_exchange(outside_client, by_subnet.at(pods.TCP, family), (by_subnet, "inbound"))
    # The other port and the other client still pass it.
    before = by_port.metrics().connections("inbound")
    client.app("get", f"http://{by_port.at(pods.HTTP)}/")
    assert by_port.metrics().connections("inbound") == before + 1
    counted_exchange(by_port, by_subnet.at(pods.TCP), (by_subnet, "inbound"))


def test_what_is_skipped_outbound_does_not_touch_the_proxy(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    server, other = meshed.start(pods.pod("server", node=nodes[1]), pods.pod("other", node=nodes[1]))
    to_server = _host_subnets((server.address(4), server.address(6)))
    by_port, by_subnet = meshed.start(
        pods.pod("by-port", node=nodes[0], annotations={f"{SKIP}outbound-ports": f"{pods.TCP}-{pods.TCP + 9}"}),
        pods.pod("by-subnet", node=nodes[0], annotations={f"{SKIP}outbound-subnets": to_server}),
    )

    for family in (4, 6):
        for client in (by_port, by_subnet):
            uncounted_exchange(client, server.at(pods.TCP, family), (client, "outbound"))
    before = by_port.metrics().connections("outbound")
    by_port.app("get", f"http://{server.at(pods.HTTP)}/")
    assert by_port.metrics().connections("outbound") == before + 1
    counted_exchange(by_subnet, other.at(pods.TCP), (by_subnet, "outbound"))


def test_opaque_ports_are_counted_apart(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    opaque = {"injector.mesh/opaque-ports": str(pods.TCP)}
    client, server = meshed.start(
        pods.pod("client", node=nodes[0]), pods.pod("server", node=nodes[1], annotations=opaque)
    )

    counted_exchange(client, server.at(pods.TCP), (server, "inbound"))
    client.app("get", f"http://{server.at(pods.HTTP)}/")

    counted = server.metrics()
    for declared in ("declared", "no"):
        assert counted.total("tcp_connections_total", direction="inbound", opaque=declared) == 1
