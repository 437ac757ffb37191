"""What `check` says of the cluster and of the mesh's own part."""

import copy
import dataclasses
import datetime
from typing import Any

import pytest

from injector.cli.checks import control_plane
from injector.cli.checks.facts import PARTS
from injector.cli.checks.lines import Line, Status
from injector.cli.manifests import find, load_manifests
from injector.kube.errors import Forbidden, KubeError, NotFound
from tests.cli.checks.test_certificates import CA, NOW
from tests.cli.checks.test_identity import published
from tests.cli.checks.test_members import FACTS
from tests.cli.cluster_objects import READY, meshed, pod

MANIFESTS = load_manifests()
MISSING = NotFound("not found", status=404)
CALL = 'Internal error occurred: failed calling webhook "annotated-pods.injector.mesh": failed to call webhook: '


def configuration() -> dict[str, Any]:
    import base64

    value = copy.deepcopy(find(MANIFESTS, "MutatingWebhookConfiguration", "injector"))
    for webhook in value["webhooks"]:
        webhook["clientConfig"]["caBundle"] = base64.b64encode(CA.pem).decode()
        webhook["objectSelector"] = {}
    return value


def deployment(name: str, ready: int = 2) -> dict[str, Any]:
    value = copy.deepcopy(find(MANIFESTS, "Deployment", name))
    value["status"] = {"readyReplicas": ready}
    return value


def webhook_pod(*, ready: bool = True, **status: Any) -> dict[str, Any]:
    template = copy.deepcopy(find(MANIFESTS, "Deployment", "injector-webhook")["spec"]["template"])
    template["metadata"] |= {"name": "injector-webhook-1", "namespace": "injector-system"}
    return {**template, "status": dict(READY) if ready else {"phase": "Pending", **status}}


GOOD = dataclasses.replace(
    FACTS,
    version={"gitVersion": "v1.36.3"},
    configuration=configuration(),
    served=CA.leaf(),
    identity=published(),
    deployments={name: deployment(name) for name in PARTS},
    system_pods=[webhook_pod()],
    policies=[],
    probe=meshed(pod("injector-check-x", "default")),
)


def lines(**changes: Any) -> list[Line]:
    facts = dataclasses.replace(GOOD, **changes)
    return [line for section in control_plane.sections(facts, NOW) for line in section.lines]


def only(status: Status, **changes: Any) -> Line:
    (line,) = [line for line in lines(**changes) if line.status is status]
    return line


def test_all_is_well() -> None:
    assert {line.status for line in lines()} == {Status.GOOD}


@pytest.mark.parametrize(
    ("version", "status"),
    [("v1.29.0", Status.GOOD), ("v1.36.3", Status.GOOD), ("v2.0.0", Status.GOOD), ("v1.31.5-gke.100", Status.GOOD),
     ("v1.28.15", Status.BAD), ("v1.9.0", Status.BAD), ("weird", Status.NOTE)],
)  # fmt: skip
def test_the_oldest_version(version: str, status: Status) -> None:
    assert lines(version={"gitVersion": version})[0].status is status


def test_not_installed_is_one_line() -> None:
    deployments: dict[str, KubeError] = dict.fromkeys(GOOD.deployments, MISSING)
    line = only(Status.BAD, configuration=MISSING, deployments=deployments)
    assert (line.text, line.remedy) == ("the mesh is not installed", ("injector install | kubectl apply -f -",))


def test_what_may_not_be_looked_at_is_said() -> None:
    said = [line.text for line in lines(pods=Forbidden("no", status=403), policies=Forbidden("no", status=403))]
    assert "cannot look at pods: your rights do not suffice" in said
    assert "cannot look at network policies in injector-system: your rights do not suffice" in said


def test_a_configuration_that_somebody_changed() -> None:
    changed = configuration()
    changed["webhooks"][1]["matchConditions"] = []
    line = only(Status.BAD, configuration=changed)
    assert line.details == ("pods.injector.mesh",)
    del changed["webhooks"][1]
    assert only(Status.BAD, configuration=changed).details == ("pods.injector.mesh",)
    assert "missing" in only(Status.BAD, configuration=MISSING).text


def test_failure_policy_ignore_is_worth_knowing() -> None:
    open_ended = configuration()
    for webhook in open_ended["webhooks"]:
        webhook["failurePolicy"] = "Ignore"
    assert "failurePolicy is Ignore" in only(Status.NOTE, configuration=open_ended).text


def test_a_certificate_that_is_missing_and_one_that_may_not_be_read() -> None:
    assert "no serving certificate" in only(Status.BAD, served=MISSING).text
    assert "may not be read" in only(Status.NOTE, served=Forbidden("no", status=403)).text


def test_pods_that_are_not_ready_say_why() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    trouble = webhook_pod(ready=False, containerStatuses=[waiting])
    deployments = {**GOOD.deployments, "injector-webhook": deployment("injector-webhook", ready=0)}
    line = only(Status.BAD, deployments=deployments, system_pods=[trouble])
    assert line.text == "injector-webhook: 0 of 2 pods ready"
    assert line.details == ("injector-webhook-1: ImagePullBackOff no such image",)


def test_an_unscheduled_pod_says_why() -> None:
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/2 nodes are available"}
    deployments = {**GOOD.deployments, "injector-webhook": deployment("injector-webhook", ready=1)}
    line = only(Status.BAD, deployments=deployments, system_pods=[webhook_pod(ready=False, conditions=[condition])])
    assert line.details == ("injector-webhook-1: 0/2 nodes are available",)


def test_a_missing_deployment_and_another_version() -> None:
    assert (
        "deployment injector-controller is missing"
        in only(Status.BAD, deployments={**GOOD.deployments, "injector-controller": MISSING}).text
    )
    other = deployment("injector-webhook")
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "r.example.com:5000/controller:9.9.9@sha256:00"
    assert "runs version 9.9.9" in only(Status.NOTE, deployments={**GOOD.deployments, "injector-webhook": other}).text


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"probe": KubeError(CALL + "context deadline exceeded", status=500)}, "firewall"),
        ({"probe": KubeError(CALL + "context deadline exceeded", status=500), "admin_answers": True}, "slow"),
        ({"probe": KubeError(CALL + "tls: x509: certificate signed by unknown authority")},
         "certificate-unknown-authority"),
        ({"probe": KubeError(CALL + "context deadline exceeded"),
          "policies": [{"metadata": {"name": "deny"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}]},
         "network-policy"),
        ({"probe": KubeError(CALL + "context deadline exceeded"), "system_pods": []}, "no-pods"),
    ],
)  # fmt: skip
def test_the_dry_run_tells_what_stands_in_the_way(changes: dict[str, Any], obstacle: str) -> None:
    assert f"({obstacle})" in only(Status.BAD, **changes).text


def test_a_pod_let_through_without_a_proxy() -> None:
    assert "let through without a proxy" in only(Status.BAD, probe=pod("injector-check-x", "default")).text


def test_refusals_of_others_are_no_fault_of_the_mesh() -> None:
    security = 'pods "x" is forbidden: violates PodSecurity "baseline:latest": capabilities (container "injector-init")'
    assert "Pod Security then refuses it" in only(Status.NOTE, probe=Forbidden(security, status=403)).text
    rights = 'pods is forbidden: User "u" cannot create resource "pods"'
    assert "could not be tried" in only(Status.NOTE, probe=Forbidden(rights, status=403)).text


def test_now_is_what_decides() -> None:
    later = NOW + datetime.timedelta(days=100)
    found = [line.text for section in control_plane.sections(GOOD, later) for line in section.lines]
    assert any("expired" in text for text in found)
