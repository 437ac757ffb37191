"""Real servers of the sample shop keep their sessions: Redis, and MariaDB, whose server speaks first."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.cluster.support import pods
from tests.cluster.support.cluster import CHECKOUT, Cluster
from tests.cluster.support.kinds import Json
from tests.cluster.support.progress import run_visibly, step
from tests.cluster.support.sandbox import Pod, Sandbox

MANIFESTS: Final = CHECKOUT / "examples" / "shop" / "kubernetes"
SETS: Final = 200
"""Commands of one Redis session, each a round trip."""


@pytest.fixture(scope="module")
def shop_images(cluster: Cluster) -> None:
    """The shop's images on our own cluster's nodes; a given cluster must be able to pull them."""
    if cluster.ours is not None:
        with step("scripts/images --load shop"):
            run_visibly(CHECKOUT / "scripts" / "images", "--load", "shop")


def _documents(name: str) -> Iterator[Json]:
    for document in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text()):
        document["metadata"].pop("namespace", None)
        yield document


def _serve(sandbox: Sandbox, name: str) -> tuple[Pod, Json]:
    """A server of the shop, ready, and the spec of its pod."""
    spec: Json = {}
    for document in (*_documents("passwords"), *_documents(name)):
        sandbox.create(document)
        if "template" in document.get("spec", {}):
            spec = document["spec"]["template"]["spec"]
    (server,) = sandbox.wait_pods(name, 1, seconds=120)
    return server, spec


def _client(sandbox: Sandbox, server_spec: Json, node: str) -> Pod:
    """A pod of the server's own image, which has the client program, that does nothing by itself."""
    server = server_spec["containers"][0]
    idle: dict[str, Any] = {name: server[name] for name in ("image", "imagePullPolicy", "env")}
    idle |= {"name": pods.APP, "command": ["sleep", "infinity"]}
    spec = {"containers": [idle], "terminationGracePeriodSeconds": 0, "nodeSelector": {"kubernetes.io/hostname": node}}
    (client,) = sandbox.start(pods.pod("client", spec))
    return client


def test_a_redis_session(shop_images: None, meshed: Sandbox, nodes: tuple[str, str]) -> None:
    server, spec = _serve(meshed, "redis")
    other = next(node for node in nodes if node != server.node)
    client = _client(meshed, spec, other)
    before = server.metrics()

    commands = "\n".join(f"SET key{number} value{number}" for number in range(SETS)) + f"\nGET key{SETS - 1}\n"
    answer = client.exec("sh", "-c", f"printf '%s' '{commands}' | redis-cli -h redis")

    assert answer.split() == ["OK"] * SETS + [f"value{SETS - 1}"]
    grown = server.metrics().traffic("inbound") - before.traffic("inbound")
    assert grown.received > SETS * len("SET key value")
    assert client.metrics().traffic("outbound").received == grown.received


def test_a_mariadb_session_whose_server_speaks_first(
    shop_images: None, meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    server, spec = _serve(meshed, "mariadb")
    other = next(node for node in nodes if node != server.node)
    client = _client(meshed, spec, other)

    orders = "INSERT INTO orders (product_id, quantity) VALUES (1, 2), (2, 3); SELECT SUM(quantity) FROM orders"
    query = f'mariadb --host=mariadb --user=shop --password="$DATABASE_PASSWORD" --skip-column-names shop -e "{orders}"'
    answer = client.exec("sh", "-c", query)

    assert answer.split() == ["5"]
    assert server.metrics().traffic("inbound").sent > 0
    assert client.metrics().connections("outbound") == 1
