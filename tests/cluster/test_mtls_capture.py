"""Proof from outside: what anybody on the wire between pods could have read, and who is let in without an identity."""

import secrets
from collections.abc import Iterator
from typing import Final

import pytest

from injector.inject.names import INBOUND_PORT, PREFIX, PROXY_CONTAINER
from tests.cluster.support import pods, proxies, shop
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.traffic import wait_reachable
from tests.cluster.wire.capture import capturing

NOT_FOUND: Final = "5"
"""grpc-status of a health check for a service that nobody has: the name has reached the server."""


@pytest.fixture(scope="module")
def shop_images(cluster: Cluster) -> None:
    shop.ensure_images(cluster)


def canaries() -> Iterator[str]:
    """Words that are nowhere else on this machine."""
    while True:
        yield f"canary{secrets.token_hex(16)}"


@pytest.mark.timeout(400, func_only=True)
def test_nothing_between_meshed_pods_can_be_read_on_the_way(
    shop_images: None, meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    specs = shop.begin(meshed, "redis", "mariadb")
    clients = [shop.begin_client(meshed, specs[name], name=f"{name}-client", node=nodes[0]) for name in specs]
    meshed.create(pods.service("sealed"))
    skipped = {f"{PREFIX}skip-inbound-ports": str(pods.HTTP)}
    client, sealed, neighbour, opened = meshed.start(
        pods.pod("client", node=nodes[0]),
        pods.pod("sealed", node=nodes[1]),
        pods.pod("neighbour", node=nodes[0]),
        pods.pod("open", node=nodes[1], annotations=skipped),
    )
    redis_client, mariadb_client = clients
    for each in (*clients, *(shop.wait_ready(meshed, name) for name in specs)):
        each.wait_ready()
    wait_reachable(client, "sealed", sealed.at(pods.HTTP).rpartition(":")[0])
    new = canaries()
    to_skipped = next(new)
    http = {name: next(new) for name in ("v4", "v6", "Service", "same node")}
    grpc, redis, mariadb = next(new), next(new), next(new)

    with capturing(meshed.cluster, to_skipped, *http.values(), grpc, redis, mariadb) as seen:
        addresses = (sealed.at(pods.HTTP), sealed.at(pods.HTTP, 6), f"sealed:{pods.HTTP}", neighbour.at(pods.HTTP))
        for address, word in zip(addresses, http.values(), strict=True):
            client.app("get", f"http://{address}/{word}")
        assert client.app("grpc", f"sealed:{pods.GRPC}", grpc) == NOT_FOUND
        assert shop.redis(redis_client, f"SET {redis} {redis}\nGET {redis}\n").split() == ["OK", redis]
        assert shop.mariadb(mariadb_client, f"SELECT '{mariadb}'").split() == [mariadb]
        client.app("get", f"http://{opened.at(pods.HTTP)}/{to_skipped}")

    assert seen.dropped == 0, "what was dropped nobody has looked at"
    # The probe can see: the one port that was skipped on purpose is readable, and just there.
    assert seen.readable(to_skipped), "this capture sees nothing, and so shows nothing"
    assert all(flow.endswith(f" > {opened.at(pods.HTTP)}") for flow in seen.readable(to_skipped))
    legible = {word: seen.readable(word) for word in (*http.values(), grpc, redis, mariadb)}
    assert {word: flows for word, flows in legible.items() if flows} == {}
    for server in (sealed, neighbour):
        assert seen.bytes_to(server.at(INBOUND_PORT)) > 0, f"{server.name} was reached by another way than its proxy"


def test_a_server_knows_who_its_client_is(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    for name in ("buyer", "seller"):
        meshed.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    nobody = {POLICY: "deny"}
    buyer, seller = meshed.start(
        pods.pod("client", pods.spec(serviceAccountName="buyer", node=nodes[0])),
        pods.pod("server", pods.spec(serviceAccountName="seller", node=nodes[1]), annotations=nobody),
    )

    assert not reaches(buyer, seller)

    (line,) = (line for line in seller.logs(PROXY_CONTAINER).splitlines() if "by policy" in line)
    assert identity(meshed, "buyer") in line, "whom it refuses it knows by the certificate"


def identity(sandbox: Sandbox, account: str) -> str:
    return f"spiffe://cluster.local/ns/{sandbox.name}/sa/{account}"


ACCEPTED: Final = {
    # policy: (a meshed client, a pod without a proxy, a node's own process, which has an address of no pod)
    "all-unauthenticated": (True, True, True),
    "cluster-unauthenticated": (True, True, False),
    "all-authenticated": (True, False, False),
    "cluster-authenticated": (True, False, False),
    "deny": (False, False, False),
}
POLICY: Final = f"{PREFIX}default-inbound-policy"
POLICY_REASONS: Final = ("policy_unauthenticated", "policy_outside_networks", "policy_nobody")


def test_each_policy_lets_in_whom_it_says_and_counts_the_others(
    mesh: Mesh, meshed: Sandbox, plain: Sandbox, nodes: tuple[str, str]
) -> None:
    """Each server has a declared HTTP probe, and is Ready under every policy although its prober has no identity."""
    probed = pods.container(readinessProbe={"httpGet": {"path": "/health", "port": pods.HTTP}, "periodSeconds": 1})
    spec = pods.spec(probed, node=nodes[1])
    servers = [meshed.begin(pods.pod(policy, spec, annotations={POLICY: policy})) for policy in ACCEPTED]
    inside, outside = meshed.begin(pods.pod("inside", node=nodes[0])), plain.begin(pods.pod("outside", node=nodes[0]))
    for each in (inside, outside, *servers):
        each.wait_ready()

    for server, expected in zip(servers, ACCEPTED.values(), strict=True):
        before = proxies.refused(server, "inbound", *POLICY_REASONS)
        seen = (reaches(inside, server), reaches(outside, server), reaches_from_node(mesh.cluster, server))
        assert seen == expected, server.name
        refused = proxies.refused(server, "inbound", *POLICY_REASONS) - before
        assert refused == expected.count(False), server.name
        if not expected[1]:
            said = [line for line in server.logs(PROXY_CONTAINER).splitlines() if "by policy" in line]
            assert any(outside.address(4) in line and server.name in line for line in said), said


def reaches(client: Pod, server: Pod) -> bool:
    """Whether the client is answered. Refused is said at once: by a reset, before the request is written or after,
    or, to a client with an identity, by the server's proxy."""
    url = f"http://{server.at(pods.HTTP)}/"
    done = client.start_app("get", url)
    output, errors = done.communicate(timeout=60)
    if done.returncode == 0:
        return '"pod"' in output
    assert any(sign in errors for sign in ("reset", "broken pipe", "EOF", "403")), errors
    return False


def reaches_from_node(cluster: Cluster, server: Pod) -> bool:
    """The same from the first node's own network, by IPv4."""
    fetch = f"import urllib.request; urllib.request.urlopen('http://{server.at(pods.HTTP)}/', timeout=20)"
    return cluster.run("python3", "-c", fetch).returncode == 0


def test_a_policy_of_the_namespace_holds_for_its_pods(meshed: Sandbox, plain: Sandbox) -> None:
    change = {"metadata": {"annotations": {POLICY: "all-authenticated"}}}
    meshed.api.patch("Namespace", meshed.name, change)
    inside, server, outside = (*meshed.start(pods.pod("inside"), pods.pod("server")), *plain.start(pods.pod("outside")))

    assert reaches(inside, server)
    assert not reaches(outside, server)
