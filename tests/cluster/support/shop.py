"""The data stores of the sample shop, each in a test's own namespace, with a pod beside them that has the client."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.cluster.support import pods
from tests.cluster.support.cluster import CHECKOUT, Cluster
from tests.cluster.support.kinds import Json
from tests.cluster.support.progress import run_visibly, step
from tests.cluster.support.sandbox import Pod, Sandbox

MANIFESTS: Final = CHECKOUT / "examples" / "shop" / "kubernetes"
START_SECONDS: Final = 120.0
"""MariaDB fills an empty data directory first."""


def ensure_images(cluster: Cluster) -> None:
    """Have the shop's images on our own cluster's nodes; a given cluster must be able to pull them."""
    if cluster.ours is not None:
        with step("scripts/images --load shop"):
            run_visibly(CHECKOUT / "scripts" / "images", "--load", "shop")


def begin(sandbox: Sandbox, *names: str) -> dict[str, Json]:
    """Create servers of the shop; the spec of each one's pod."""
    specs: dict[str, Json] = {}
    for name in ("passwords", *names):
        for document in _documents(name):
            sandbox.create(document)
            if "template" in document.get("spec", {}):
                specs[name] = document["spec"]["template"]["spec"]
    return specs


def wait_ready(sandbox: Sandbox, name: str) -> Pod:
    """The one pod of a server, once it is ready."""
    (server,) = sandbox.wait_pods(name, 1, seconds=START_SECONDS)
    return server


def begin_client(sandbox: Sandbox, server_spec: Json, *, name: str = "client", node: str) -> Pod:
    """A pod of the server's own image, which has the client program, that does nothing by itself."""
    server = server_spec["containers"][0]
    idle: dict[str, Any] = {name: server[name] for name in ("image", "imagePullPolicy", "env")}
    idle |= {"name": pods.APP, "command": ["sleep", "infinity"]}
    spec = {"containers": [idle], "terminationGracePeriodSeconds": 0, "nodeSelector": {"kubernetes.io/hostname": node}}
    return sandbox.begin(pods.pod(name, spec))


def redis(client: Pod, commands: str) -> str:
    """What Redis answers to lines of commands of one session."""
    return client.exec("sh", "-c", f"printf '%s' '{commands}' | redis-cli -h redis")


def mariadb(client: Pod, statements: str) -> str:
    """What MariaDB answers to statements of one session."""
    login = '--host=mariadb --user=shop --password="$DATABASE_PASSWORD" --skip-column-names shop'
    return client.exec("sh", "-c", f'mariadb {login} -e "{statements}"')


def _documents(name: str) -> Iterator[Json]:
    for document in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text()):
        document["metadata"].pop("namespace", None)
        yield document
