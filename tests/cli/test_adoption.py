"""`injector enable`, `disable` and `uninstall` against a cluster that is a dictionary."""

import json
from typing import Any

import pytest

from injector.inject.names import INJECT
from injector.kube.errors import Forbidden
from injector.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    PODS,
    STATEFUL_SETS,
)
from tests.cli.cluster_objects import meshed, namespace, opted_in, pod
from tests.cli.conftest import FakeKube, Run


def deployment(name: str, **status: Any) -> dict[str, Any]:
    done = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, **status}
    return {"metadata": {"name": name, "namespace": "shop", "generation": 1}, "spec": {"replicas": 1}, "status": done}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("injector.cli.adoption._POLL_SECONDS", 0.0)


def test_enable_annotates_and_labels_and_says_what_remains(run: Run, kube: FakeKube) -> None:
    kube.put(NAMESPACES, namespace("shop"))
    kube.put(PODS, pod("a", "shop"))
    result = run("enable", "shop")
    assert result.code == 0
    assert result.out == "✓ namespace shop is opted in\n"
    assert "1 pod without a proxy, until they are replaced (--restart): a" in result.err
    metadata = kube.objects[NAMESPACES.path(name="shop")]["metadata"]
    assert metadata["annotations"] == metadata["labels"] == {INJECT: "enabled"}


def test_disable_removes_both(run: Run, kube: FakeKube) -> None:
    kube.put(NAMESPACES, opted_in("shop", team="a"))
    kube.put(PODS, meshed(pod("a", "shop")))
    result = run("disable", "shop")
    assert result.out == "✓ namespace shop is taken out of the mesh\n"
    assert "1 pod with a proxy, until they are replaced" in result.err
    metadata = kube.objects[NAMESPACES.path(name="shop")]["metadata"]
    assert (metadata["annotations"], metadata["labels"]) == ({}, {"team": "a"})


def test_pod_security_warns_at_once(run: Run, kube: FakeKube) -> None:
    kube.put(NAMESPACES, namespace("shop", labels={"pod-security.kubernetes.io/enforce": "baseline"}))
    assert "Pod Security 'baseline'" in run("enable", "shop").err


@pytest.mark.parametrize("name", ["kube-system", "injector-system"])
def test_system_namespaces_are_refused_before_anything_is_asked(run: Run, kube: FakeKube, name: str) -> None:
    result = run("enable", name)
    assert result.code == 1
    assert kube.log == []


def test_a_user_without_the_right_is_told(run: Run, kube: FakeKube) -> None:
    kube.refuse["PATCH", NAMESPACES.path(name="shop")] = Forbidden("namespaces shop is forbidden", status=403)
    result = run("enable", "shop", "--restart")
    assert (result.code, result.out, result.err) == (3, "", "error: namespaces shop is forbidden\n")
    assert len(kube.log) == 1


def test_restart_rolls_every_kind_and_waits(run: Run, kube: FakeKube) -> None:
    kube.put(NAMESPACES, namespace("shop"))
    done = {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1, "desiredNumberScheduled": 1}
    done |= {"updatedNumberScheduled": 1, "numberAvailable": 1}
    for resource, name in ((STATEFUL_SETS, "db"), (DAEMON_SETS, "agent")):
        kube.put(resource, deployment(name, **done))
    slow = deployment("web", updatedReplicas=0)
    kube.put(DEPLOYMENTS, slow)
    polls = 0
    real = kube.get

    async def get(resource: Any, **where: Any) -> Any:
        nonlocal polls
        found = await real(resource, **where)
        if resource is DEPLOYMENTS and (polls := polls + 1) == 3:
            slow["status"]["updatedReplicas"] = 1
        return found

    kube.get = get  # type: ignore[method-assign]
    result = run("enable", "shop", "--restart")
    assert result.code == 0
    assert polls >= 3
    for said in ("Deployment web: 1 pod replaced", "StatefulSet db: 1", "DaemonSet agent: 1"):
        assert said in result.err
    patches = [body for method, path, body in kube.log if method == "PATCH" and not path.endswith("/shop")]
    assert len(patches) == 3
    for body in patches:
        assert list(body["spec"]["template"]["metadata"]["annotations"]) == ["kubectl.kubernetes.io/restartedAt"]


def test_a_rollout_that_is_stuck_or_late_ends_with_1(run: Run, kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("injector.cli.adoption.PATIENCE_SECONDS", 0.2)
    kube.put(NAMESPACES, namespace("shop"))
    stuck = {"reason": "ProgressDeadlineExceeded", "message": "quota"}
    kube.put(DEPLOYMENTS, deployment("stuck", updatedReplicas=0, conditions=[stuck]))
    kube.put(DEPLOYMENTS, deployment("late", updatedReplicas=0))
    result = run("enable", "shop", "--restart")
    assert result.code == 1
    assert "error: Deployment stuck: no progress: quota" in result.err
    assert "error: Deployment late: not rolled out after" in result.err


def installed(kube: FakeKube) -> None:
    from injector.cli.removal import CLUSTER_SCOPED, removal_order

    assert removal_order()[0] == (MUTATING_WEBHOOK_CONFIGURATIONS, "injector")
    for resource, name in removal_order():
        assert resource in CLUSTER_SCOPED.values()
        kube.put(resource, {"metadata": {"name": name}})


def deleted(kube: FakeKube) -> list[str]:
    return [path for method, path, _ in kube.log if method == "DELETE"]


def test_uninstall_refuses_and_lists_while_meshed_pods_run(run: Run, kube: FakeKube) -> None:
    installed(kube)
    kube.put(PODS, meshed(pod("a", "shop")))
    ended = meshed(pod("done", "shop"))
    ended["status"] = {"phase": "Succeeded"}
    kube.put(PODS, ended)
    kube.put(PODS, pod("b", "shop"))
    result = run("uninstall")
    assert result.code == 1
    assert deleted(kube) == []
    assert result.err.splitlines()[0].startswith("error: 1 pod with a proxy")
    assert result.err.splitlines()[1:] == ["error: shop/a"]


@pytest.mark.parametrize("arguments", [[], ["--force"]])
def test_uninstall_removes_the_webhook_configuration_first_and_the_namespace_last(
    run: Run, kube: FakeKube, arguments: list[str]
) -> None:
    installed(kube)
    if arguments:
        kube.put(PODS, meshed(pod("a", "shop")))
    result = run("uninstall", *arguments)
    assert result.code == 0
    order = deleted(kube)
    assert order[0].endswith("/mutatingwebhookconfigurations/injector")
    assert order[-1] == "/api/v1/namespaces/injector-system"
    assert len(order) == 1 + 4 + 4 + 1, "configuration, bindings, roles, namespace"
    assert run("uninstall").out == "", "twice is no error"


def test_uninstall_takes_the_copies_of_the_roots_along_once_nobody_can_write_them_again(
    run: Run, kube: FakeKube
) -> None:
    installed(kube)
    kube.put(PODS, meshed(pod("a", "shop")))
    for where in ("shop", "other"):
        kube.put(CONFIG_MAPS, {"metadata": {"name": "injector-mesh", "namespace": where}})
    result = run("uninstall", "--force")
    assert result.code == 0
    assert "✓ ConfigMap other/injector-mesh deleted" in result.out.splitlines()
    copies = [path for path in deleted(kube) if "/configmaps/" in path]
    assert copies == ["/api/v1/namespaces/other/configmaps/injector-mesh"], "a pod of shop still needs its own"
    assert deleted(kube)[-2:] == [*copies, "/api/v1/namespaces/injector-system"]


def test_uninstall_dry_run_deletes_nothing(run: Run, kube: FakeKube) -> None:
    installed(kube)
    kube.put(PODS, meshed(pod("a", "shop")))
    result = run("uninstall", "--dry-run")
    assert result.code == 0
    assert result.out.splitlines()[0] == "MutatingWebhookConfiguration injector"
    assert result.out.splitlines()[-1] == "Namespace injector-system"
    assert "would refuse: 1 pod with a proxy" in result.err
    assert deleted(kube) == []


def test_programs_are_told_the_same_as_json(run: Run, kube: FakeKube) -> None:
    kube.put(NAMESPACES, namespace("shop"))
    kube.put(PODS, pod("a", "shop"))
    result = run("enable", "shop", "-o", "json")
    assert json.loads(result.out) == {
        "namespace": "shop",
        "opted_in": True,
        "warnings": [],
        "restarted": [],
        "remaining": ["a"],
    }
    assert json.loads(run("disable", "shop", "-o", "json").out)["opted_in"] is False
    told = json.loads(run("uninstall", "--dry-run", "-o", "json").out)
    assert told["dry_run"] is True
    assert told["deleted"][-1] == "Namespace injector-system"
