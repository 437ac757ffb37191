"""From one version to the next under load, and back: the mesh's own parts first, then the proxies, and nobody fails."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pytest

from injector.inject.names import SYSTEM_NAMESPACE
from tests.cluster.support import customers, pods
from tests.cluster.support.command import injector
from tests.cluster.support.control_plane import restored
from tests.cluster.support.mesh import Mesh, rolled_out
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.waiting import eventually

ROLLED_OUT_SECONDS: Final = 120.0


@pytest.fixture(autouse=True)
def afterwards(mesh: Mesh) -> Iterator[None]:
    """Whatever this leaves, the next one finds the mesh as it is installed."""
    with restored(mesh):
        yield


@pytest.mark.timeout(600, func_only=True)
def test_the_mesh_is_replaced_under_load_and_then_the_proxies(
    mesh: Mesh, meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    """The other version is the same build under another tag: what differs between two contracts is tests/api's part."""
    other = mesh.other_tag()
    with step(f"the mesh as {other}"):
        replace(mesh, "--tag", other)
    url = f"http://server:{pods.HTTP}/"
    meshed.create(pods.service("server"))
    meshed.create(pods.lossless("server", replicas=2, node=nodes[1]))
    meshed.wait_pods("server", 2)
    clients = meshed.start(
        customers.customer("kept", url, node=nodes[0], keep=True), customers.customer("anew", url, node=nodes[0])
    )
    for client in clients:
        customers.wait_more(client, 20)

    with step("the mesh as of now"):
        replace(mesh)
    carry_on(clients)
    told = checked(mesh)
    assert re.search(rf"4 pods with \S*proxy:{re.escape(other)}", told), told
    assert f"injector enable {meshed.name} --restart" in told

    with step("the server's proxies as of now"):
        code, output, faults = injector(mesh.cluster, "enable", meshed.name, "--restart")
        assert code == 0, output + faults
        mesh.api.wait("Deployment", "server", meshed.name, rolled_out, seconds=ROLLED_OUT_SECONDS, what="rolled out")
    carry_on(clients)
    told = checked(mesh)
    assert re.search(rf"2 pods with \S*proxy:{re.escape(other)}", told), f"the clients, which nothing restarts: {told}"

    with step(f"back to the mesh as {other}, with proxies that are newer"):
        replace(mesh, "--tag", other)
    carry_on(clients)
    (newcomer,) = meshed.start(customers.customer("newcomer", url, node=nodes[1]))
    carry_on([newcomer])
    for client in clients:
        say(f"  {client.name}: {customers.tally(client)}")


def replace(mesh: Mesh, *options: str) -> None:
    """Install, and wait until nobody of the version before is left: a webhook that ends still answers."""
    mesh.install(*options)
    mesh.wait_ready()

    def ending() -> list[str]:
        found = [pod["metadata"] for pod in mesh.api.list("Pod", SYSTEM_NAMESPACE)]
        return [metadata["name"] for metadata in found if "deletionTimestamp" in metadata]

    eventually(ending, lambda names: names == [], seconds=ROLLED_OUT_SECONDS, what="the version before has ended")


def carry_on(clients: Iterable[Pod]) -> None:
    for client in clients:
        customers.wait_more(client, 20)
        assert customers.failures(client) == []


def checked(mesh: Mesh) -> str:
    _, output, _ = injector(mesh.cluster, "check", "--proxy")
    return output
