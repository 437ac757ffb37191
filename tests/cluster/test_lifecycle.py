"""Hooks run, connections end as they should, and a sidecar that dies comes back."""

import time
from typing import Final

import pytest

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support import pods
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod, Sandbox, container_status
from tests.cluster.support.traffic import counted_exchange
from tests.cluster.support.waiting import eventually

SIGKILL: Final = "9"
SIGTERM: Final = "15"

OPEN_SECONDS: Final = 3
"""How long the connections below stay open after their end was asked for."""


class Open:
    """A connection over which an answer trickles for OPEN_SECONDS."""

    def __init__(self, client: Pod, address: str) -> None:
        self._process = client.start_app(
            "exchange", "--send", "1000", "--receive", "200000", "--over", f"{OPEN_SECONDS}s", address
        )
        assert self._process.stderr is not None
        first = self._process.stderr.readline()
        assert "answering" in first, f"the exchange did not begin: {first}{self._process.stderr.read()}"

    def assert_completes(self) -> None:
        output, errors = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, errors
        assert '"received":200000' in output


def _shared(name: str, node: str) -> Json:
    """A pod whose application may signal the proxy, for which root needs no further capability."""
    return pods.pod(name, pods.spec(node=node, shareProcessNamespace=True))


def test_http_hooks_run_when_the_container_starts_and_before_it_ends(meshed: Sandbox) -> None:
    (recorder,) = meshed.start(pods.pod("recorder"))
    told = {"httpGet": {"host": recorder.address(4), "port": pods.HTTP, "path": "/hook/started"}}
    own = {"httpGet": {"port": "http", "path": "/hook/ending"}}
    lifecycle = {"postStart": told, "preStop": own}
    (pod,) = meshed.start(pods.pod("hooked", pods.spec(pods.container(lifecycle=lifecycle))))

    assert "hook started" in recorder.logs(pods.APP)
    following = meshed.cluster.start(
        meshed.cluster.kubectl_program, "-n", meshed.name, "logs", "-f", pod.name, "-c", pods.APP
    )
    pod.delete()
    written, _ = following.communicate(timeout=30)
    lines = written.splitlines()
    assert lines.index("hook ending") < lines.index("ending"), lines


def test_a_hook_that_fails_stops_the_container_as_it_does_without_a_mesh(meshed: Sandbox) -> None:
    hook = {"postStart": {"httpGet": {"port": 9999, "path": "/hook/started"}}}
    pod = meshed.begin(pods.pod("unhooked", pods.spec(pods.container(lifecycle=hook))))

    pod.wait_event("FailedPostStartHook")


def test_a_deleted_server_finishes_its_open_connection_and_ends_in_time(
    meshed: Sandbox, nodes: tuple[str, str]
) -> None:
    server_spec = pods.spec(node=nodes[1], terminationGracePeriodSeconds=30)
    client, server = meshed.start(pods.pod("client", node=nodes[0]), pods.pod("server", server_spec))
    connection = Open(client, server.at(pods.TCP))

    server.delete()
    begun = time.monotonic()

    connection.assert_completes()
    server.wait_gone(seconds=20)
    assert time.monotonic() - begun < OPEN_SECONDS + 5, "the pod waited for its grace period"


def test_a_proxy_told_to_end_lets_open_connections_finish(meshed: Sandbox, nodes: tuple[str, str]) -> None:
    client, server = meshed.start(_shared("client", nodes[0]), pods.pod("server", node=nodes[1]))
    connection = Open(client, server.at(pods.TCP))

    client.app("signal", PROXY_CONTAINER, SIGTERM)

    connection.assert_completes()
    ended = client.wait(_proxy_restarted, "the sidecar is restarted", seconds=30)
    assert container_status(ended, PROXY_CONTAINER)["lastState"]["terminated"]["exitCode"] == 0


@pytest.mark.parametrize("which", ["client", "server"])
def test_traffic_flows_again_after_a_sidecar_was_killed(which: str, meshed: Sandbox, nodes: tuple[str, str]) -> None:
    client, server = meshed.start(_shared("client", nodes[0]), _shared("server", nodes[1]))
    counted_exchange(client, server.at(pods.TCP), (client, "outbound"), (server, "inbound"))
    victim = {"client": client, "server": server}[which]

    victim.app("signal", PROXY_CONTAINER, SIGKILL)

    victim.wait(_proxy_restarted, "the sidecar is restarted", seconds=30)
    eventually(victim.metrics, bool, seconds=30, what="its proxy answers again")
    counted_exchange(client, server.at(pods.TCP, 6), (client, "outbound"), (server, "inbound"))
    assert victim.status_of(pods.APP)["restartCount"] == 0


def _proxy_restarted(pod: Json) -> bool:
    status = container_status(pod, PROXY_CONTAINER)
    return bool(status.get("restartCount", 0) == 1 and status.get("ready"))
