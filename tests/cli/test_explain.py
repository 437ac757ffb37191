"""Why a pod or a namespace is, or is not, in the mesh."""

import json
from typing import Any

import pytest

from injector.cli.explain import PodExplanation, explain_namespace, explain_pod
from injector.inject.model import Namespace, Workload
from injector.inject.names import INJECT
from injector.kube.errors import Forbidden
from injector.kube.resources import JOBS, NAMESPACES, PODS, REPLICA_SETS
from tests.cli.cluster_objects import INSTALLATION, meshed, namespace, opted_in, pod
from tests.cli.conftest import FakeKube, Run


def explained(value: dict[str, Any], space: dict[str, Any]) -> PodExplanation:
    metadata = space["metadata"]
    home = Namespace(metadata["name"], metadata["labels"], metadata["annotations"])
    return explain_pod(value, home, INSTALLATION, Workload.of(value))


SHOP = opted_in("shop")
STRICT = opted_in("shop", **{"pod-security.kubernetes.io/enforce": "baseline"})


@pytest.mark.parametrize(
    ("value", "space", "reason", "meshed_now", "wanted"),
    [
        (meshed(pod("a", "shop")), SHOP, "injected", True, True),
        (pod("a", "shop"), SHOP, "unmeshed", False, True),
        (pod("a", "shop"), namespace("shop"), "not-enabled", False, False),
        (pod("a", "shop", {INJECT: "disabled"}), SHOP, "disabled-on-pod", False, False),
        (pod("a", "shop", hostNetwork=True), SHOP, "host-network", False, False),
        (meshed(pod("a", "shop")), namespace("shop"), "not-enabled", True, False),
        (pod("a", "shop", {"injector.mesh/log-level": "x"}), SHOP, "refused", False, True),
        (pod("a", "shop", {INJECT: "enabled"}), namespace("shop"), "unmeshed", False, True),
    ],
)
def test_a_pod_s_state(value: Any, space: Any, reason: str, meshed_now: bool, wanted: bool) -> None:
    found = explained(value, space)
    assert (found.reason, found.meshed, found.wanted) == (reason, meshed_now, wanted)
    assert all(found.because)


def test_settings_say_where_each_comes_from() -> None:
    space = opted_in("shop")
    space["metadata"]["annotations"] |= {"injector.mesh/log-level": "debug", "injector.mesh/log-format": "json"}
    found = explained(
        pod("a", "shop", {"injector.mesh/log-level": "warn", "injector.mesh/skip-outbound-ports": "25"}), space
    )
    settings = {setting.name: (setting.value, setting.origin) for setting in found.settings}
    assert settings["log-level"] == ("warn", "pod")
    assert settings["log-format"] == ("json", "namespace")
    assert settings["shutdown-grace"] == ("30s", "default")
    assert "25" in found.bypasses[0]
    assert any("port 4143" in sentence for sentence in found.redirection)


def test_a_running_pod_with_older_settings_is_called_outdated() -> None:
    space = opted_in("shop")
    space["metadata"]["annotations"]["injector.mesh/log-level"] = "debug"
    found = explained(meshed(pod("a", "shop")), space)
    assert (found.reason, found.meshed) == ("outdated", True)
    assert "restart it" in found.because[-2]
    assert found.because[-1] == "injector-proxy: INJECTOR_LOG_LEVEL 'info' would be 'debug'"


def test_pod_security_is_named() -> None:
    assert any("Pod Security 'baseline'" in said for said in explained(pod("a", "shop"), STRICT).warnings)
    assert "Pod Security 'baseline'" in explain_namespace(STRICT, [], INSTALLATION).pod_security


def test_a_pod_that_no_one_asked_for_is_not_given_settings_to_wonder_about() -> None:
    found = explained(pod("a", "shop"), namespace("shop"))
    assert (found.settings, found.bypasses, found.redirection) == ((), (), ())


def test_the_proxy_s_state_is_the_cluster_s_word() -> None:
    running = meshed(pod("a", "shop"))
    assert explained(running, SHOP).proxy == "not started yet"
    status = {"name": "injector-proxy", "state": {"running": {}}, "started": True, "restartCount": 3, "image": "p:1"}
    running["status"]["initContainerStatuses"] = [status]
    assert explained(running, SHOP).proxy == "running, ready, 3 restarts, p:1"
    status |= {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "started": False}
    assert explained(running, SHOP).proxy.startswith("waiting (CrashLoopBackOff), not ready")


def test_a_namespace_and_its_pods() -> None:
    pods = [meshed(pod("a", "shop")), pod("b", "shop"), pod("c", "shop", hostNetwork=True)]
    found = explain_namespace(SHOP, pods, INSTALLATION)
    assert found.opted_in
    assert found.meshed_pods == ("a",)
    assert [name for name, _ in found.other_pods] == ["b", "c"]
    assert "without a proxy" in found.other_pods[0][1]
    assert "(host-network)" in found.other_pods[1][1]


def test_a_namespace_annotated_before_the_installation() -> None:
    found = explain_namespace(namespace("early", {INJECT: "enabled"}), [], INSTALLATION)
    assert "kubectl label namespace early injector.mesh/inject=enabled" in found.because[1]


def owner(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"kind": kind, "name": name, "controller": True}]


@pytest.mark.parametrize(("resource", "above"), [(REPLICA_SETS, "Deployment"), (JOBS, "CronJob")])
def test_the_command_names_the_workload_that_a_person_knows(
    run: Run, kube: FakeKube, resource: Any, above: str
) -> None:
    value = meshed(pod("a", "shop"))
    value["metadata"]["ownerReferences"] = owner(resource.kind, "web-1")
    kube.put(PODS, value)
    kube.put(NAMESPACES, SHOP)
    kube.put(resource, {"metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": owner(above, "web")}})
    result = run("explain", "pod", "a", "-n", "shop", "-o", "json")
    assert result.code == 0
    assert json.loads(result.out)["workload"] == f"{above}/web"
    kube.refuse["GET", resource.path(namespace="shop", name="web-1")] = Forbidden("no", status=403)
    assert (
        json.loads(run("explain", "pod", "a", "-n", "shop", "-o", "json").out)["workload"] == f"{resource.kind}/web-1"
    )


def test_the_command_in_words(run: Run, kube: FakeKube) -> None:
    kube.put(NAMESPACES, SHOP)
    kube.put(PODS, meshed(pod("a", "shop")))
    kube.put(PODS, pod("b\x1b[31m", "shop"))
    out = run("explain", "pod", "a", "-n", "shop").out
    for part in ("Pod shop/a of Pod/a", "What bypasses the mesh\n    nothing", "from the default", "port 4140"):
        assert part in out
    out = run("explain", "namespace", "shop").out
    for part in ("✓ opted in", "1 pod in the mesh\n    a\n", "1 pod not in the mesh\n    b\\x1b[31m: "):
        assert part in out


def test_what_is_not_there_exits_1(run: Run, kube: FakeKube) -> None:
    result = run("explain", "pod", "a", "-n", "shop")
    assert (result.code, result.out) == (1, "")
    assert "not found" in result.err
