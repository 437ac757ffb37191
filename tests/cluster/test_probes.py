"""A dead application fails every kind of probe, and a living one passes, though a proxy stands before it."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.cluster.support import pods
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod, Sandbox, is_ready

STRICT: Final = [{"name": "Host", "value": "probe.example"}, {"name": "X-Probe", "value": "yes"}]

HANDLERS: Final[dict[str, Json]] = {
    "http": {"httpGet": {"path": "/health", "port": pods.HTTP}},
    "https": {"httpGet": {"path": "/health", "port": pods.HTTPS, "scheme": "HTTPS"}},
    "tcp": {"tcpSocket": {"port": pods.TCP}},
    "grpc": {"grpc": {"port": pods.GRPC}},
    "grpc-service": {"grpc": {"port": pods.GRPC, "service": "shop"}},
    "named-port": {"tcpSocket": {"port": "http"}},
    "headers": {"httpGet": {"path": "/strict", "port": "http", "httpHeaders": STRICT}},
    "redirect": {"httpGet": {"path": "/moved", "port": pods.HTTP}},
    "exec": {"exec": {"command": ["/app", "get", f"http://localhost:{pods.HTTP}/health"]}},
}
"""Probe handlers by the name of the pod that has them."""

KNOWS_ILLNESS: Final = frozenset({"http", "https", "grpc", "grpc-service", "headers", "redirect", "exec"})
"""Whose answer the application chooses; a TCP probe only sees that it listens."""

SOON: Final = {"periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 1}


def _not_ready(pod: Json) -> bool:
    return not is_ready(pod)


def _restarted(pod: Json) -> bool:
    return any(each["name"] == pods.APP and each["restartCount"] > 0 for each in pod["status"]["containerStatuses"])


def _all(checked: dict[str, Pod], holds: Callable[[Json], bool], what: str) -> None:
    for name, pod in checked.items():
        pod.wait(holds, f"{what}, with a probe by {name}", seconds=30)


def _switch(checked: dict[str, Pod], state: str) -> None:
    """Make all applications alive, ill or dead, at once. How that ends is seen by its effect: the kubelet may kill a
    container that is dead before the command in it has returned."""
    for running in [pod.start_app("switch", state) for pod in checked.values()]:
        running.communicate(timeout=60)


def test_readiness_follows_the_application(meshed: Sandbox) -> None:
    """One pod a kind of handler, each through alive, ill, dead, and alive again."""
    bodies = (
        pods.pod(name, pods.spec(pods.container(readinessProbe=handler | SOON))) for name, handler in HANDLERS.items()
    )
    checked = dict(zip(HANDLERS, meshed.start(*bodies), strict=True))

    knowing = {name: checked[name] for name in KNOWS_ILLNESS}
    _switch(knowing, "ill")
    _all(knowing, _not_ready, "not ready while ill")
    _switch(checked, "dead")
    _all(checked, _not_ready, "not ready while dead")
    _switch(checked, "alive")
    _all(checked, is_ready, "ready again when alive")

    for kind in ("http", "tcp", "grpc"):
        metrics = checked[kind].metrics()
        assert metrics.total("probes_total", kind=kind, result="passed") > 0
        assert metrics.total("probes_total", kind=kind, result="failed") > 0


def test_a_dead_application_is_restarted_by_each_kind_of_liveness_probe(meshed: Sandbox) -> None:
    probed = ("http", "https", "tcp", "grpc")
    bodies = (pods.pod(name, pods.spec(pods.container(livenessProbe=HANDLERS[name] | SOON))) for name in probed)
    checked = dict(zip(probed, meshed.start(*bodies), strict=True))

    _switch(checked, "dead")

    _all(checked, _restarted, "restarted")
    _all(checked, is_ready, "ready after the restart")


def test_startup_waits_for_the_application_and_gives_up_in_time(meshed: Sandbox) -> None:
    born_dead = ("serve", "--state", "dead")
    patient, hasty = SOON | {"failureThreshold": 60}, SOON | {"failureThreshold": 2}
    late = {
        name: meshed.begin(
            pods.pod(name, pods.spec(pods.container(args=born_dead, startupProbe=HANDLERS[name] | patient)))
        )
        for name in ("http", "tcp", "grpc")
    }
    hopeless = pods.pod("hopeless", pods.spec(pods.container(args=born_dead, startupProbe=HANDLERS["tcp"] | hasty)))
    never = meshed.begin(hopeless)

    for name, pod in late.items():
        pod.wait(lambda found: "running" in _app_state(found), f"{name} runs", seconds=30)
        pod.wait_event("Unhealthy", containing="Startup probe failed")
        assert _not_ready(pod.object), name
    _switch(late, "alive")
    _all(late, is_ready, "ready when it listens at last")
    never.wait(_restarted, "restarted for it never started", seconds=30)


def _app_state(pod: Json) -> Json:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((each.get("state", {}) for each in statuses if each["name"] == pods.APP), {})


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ({"tcpSocket": {"port": 9999}}, "refused"),
        ({"httpGet": {"path": "/strict", "port": pods.HTTP}}, "418"),
        ({"grpc": {"port": pods.GRPC, "service": "nobody"}}, "does not know the service"),
    ],
    ids=["closed port", "status 418", "unknown service"],
)
def test_a_failing_probe_says_why(handler: Json, reason: str, meshed: Sandbox) -> None:
    pod = meshed.begin(pods.pod("wrong", pods.spec(pods.container(readinessProbe=handler | SOON))))

    event = pod.wait_event("Unhealthy", containing="Readiness probe failed")

    assert "503" in event["message"]
    with pytest.raises(
        ApiError
    ) as answer:  # the kubelet's event has the status only, so the reason is for whoever asks
        pod.admin(f"probes/{pods.APP}/readinessProbe")
    assert answer.value.status == 503
    assert reason.lower() in answer.value.message.lower()
    assert _not_ready(pod.object)
