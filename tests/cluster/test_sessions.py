"""Real servers of the sample shop keep their sessions: Redis, and MariaDB, whose server speaks first."""

from typing import Final

import pytest

from tests.cluster.support import shop
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.sandbox import Pod, Sandbox

SETS: Final = 200
"""Commands of one Redis session, each a round trip."""


@pytest.fixture(scope="module")
def shop_images(cluster: Cluster) -> None:
    shop.ensure_images(cluster)


def _server_and_client(sandbox: Sandbox, name: str, nodes: tuple[str, str]) -> tuple[Pod, Pod]:
    """A server of the shop, and a client on the other node."""
    spec = shop.begin(sandbox, name)[name]
    server = shop.wait_ready(sandbox, name)
    client = shop.begin_client(sandbox, spec, node=next(node for node in nodes if node != server.node))
    client.wait_ready()
    return server, client


def test_a_redis_session(shop_images: None, meshed: Sandbox, nodes: tuple[str, str]) -> None:
    server, client = _server_and_client(meshed, "redis", nodes)
    before = server.metrics()

    commands = "\n".join(f"SET key{number} value{number}" for number in range(SETS)) + f"\nGET key{SETS - 1}\n"
    answer = shop.redis(client, commands)

    assert answer.split() == ["OK"] * SETS + [f"value{SETS - 1}"]
    grown = server.metrics().traffic("inbound") - before.traffic("inbound")
    assert grown.received > SETS * len("SET key value")
    assert client.metrics().traffic("outbound").received == grown.received


def test_a_mariadb_session_whose_server_speaks_first(
    shop_images: None, meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    server, client = _server_and_client(meshed, "mariadb", nodes)

    orders = "INSERT INTO orders (product_id, quantity) VALUES (1, 2), (2, 3); SELECT SUM(quantity) FROM orders"
    answer = shop.mariadb(client, orders)

    assert answer.split() == ["5"]
    assert server.metrics().traffic("inbound").sent > 0
    assert client.metrics().connections("outbound") == 1
