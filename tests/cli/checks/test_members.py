"""What `check` says of namespaces and pods."""

import dataclasses
from typing import Any

from injector.cli.checks import members
from injector.cli.checks.facts import Facts
from injector.cli.checks.lines import Line, Status
from injector.inject.names import INJECT
from injector.kube.errors import Forbidden
from tests.cli.cluster_objects import INSTALLATION, meshed, namespace, opted_in, pod

NOTHING = Forbidden("no", status=403)
FACTS = Facts(
    version={},
    installation=INSTALLATION,
    notes=(),
    configuration=NOTHING,
    identity=NOTHING,
    served=NOTHING,
    deployments={},
    system_pods=NOTHING,
    policies=NOTHING,
    namespaces=[],
    pods=[],
    probe_namespace="default",
    probe=NOTHING,
    admin_answers=None,
)


def lines(namespaces: list[Any], pods: list[Any]) -> list[Line]:
    facts = dataclasses.replace(FACTS, namespaces=namespaces, pods=pods)
    return [line for section in members.sections(facts) for line in section.lines]


def texts(namespaces: list[Any], pods: list[Any], status: Status) -> list[str]:
    return [line.text for line in lines(namespaces, pods) if line.status is status]


def find(found: list[Line], part: str) -> Line:
    (line,) = [line for line in found if part in line.text]
    return line


def test_a_good_mesh() -> None:
    found = lines([opted_in("shop"), namespace("plain")], [meshed(pod("a", "shop")), pod("b", "plain")])
    assert [line.status for line in found] == [Status.GOOD] * 3
    assert [line.text for line in found] == [
        "1 namespace opted in: shop",
        "1 pod with a proxy",
        "every pod that asks for the mesh has a proxy",
    ]


def test_nothing_is_said_of_what_could_not_be_read() -> None:
    assert list(members.sections(dataclasses.replace(FACTS, namespaces=NOTHING))) == []
    (section,) = members.sections(dataclasses.replace(FACTS, pods=NOTHING))
    assert section.title == "Namespaces"


def test_a_namespace_annotated_before_the_installation_gets_its_command() -> None:
    line = find(lines([namespace("early", {INJECT: "enabled"})], []), "while the mesh was not installed")
    assert line.status is Status.BAD
    assert line.remedy == ("kubectl label namespace early injector.mesh/inject=enabled",)


def test_a_label_by_hand_is_noted() -> None:
    line = find(lines([namespace("hand", {}, {INJECT: "enabled"})], []), "labelled by hand")
    assert (line.status, line.remedy) == (Status.NOTE, ("injector enable hand",))


def test_pod_security_is_named_where_it_forbids_the_mesh() -> None:
    enforce = "pod-security.kubernetes.io/enforce"
    spaces = [opted_in("strict", **{enforce: "restricted"}), namespace("out", labels={enforce: "restricted"})]
    (said,) = texts(spaces, [], Status.BAD)
    assert "Pod Security 'restricted'" in said
    assert "strict" in said


def test_what_is_odd_about_a_namespace_is_noted() -> None:
    spaces = [
        namespace("odd", {INJECT: "enabled", "injector.mesh/log-levle": "x"}, {INJECT: "enabled"}),
        namespace("kube-system", {INJECT: "enabled"}),
    ]
    said = texts(spaces, [], Status.NOTE)
    assert any("namespace odd:" in text and "log-levle" in text for text in said)
    assert any("never in the mesh: kube-system" in text for text in said)


def test_bypasses_are_told_by_namespace_and_by_pod() -> None:
    space = opted_in("shop")
    space["metadata"]["annotations"]["injector.mesh/skip-outbound-ports"] = "25"
    own = meshed(pod("a", "shop", {"injector.mesh/opaque-ports": "3306"}))
    found = lines([space], [own, meshed(pod("b", "shop"))])
    assert "25" in find(found, "bypasses the mesh in namespace shop").details[0]
    (detail,) = find(found, "by pods' own annotations").details
    assert detail.startswith("Pod shop/a: ")
    assert "3306" in detail


def test_pods_without_a_proxy_are_listed_with_what_to_do() -> None:
    ended = pod("ended", "shop")
    ended["status"] = {"phase": "Succeeded"}
    leaving = pod("leaving", "shop")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    bad = pod("bad", "shop", containers=[{"name": "c", "image": "x", "ports": [{"containerPort": 4143}]}])
    pods = [pod("late", "shop"), bad, ended, leaving, pod("own", "plain", {INJECT: "enabled"})]
    pods[0]["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]
    line = find(lines([opted_in("shop"), namespace("plain")], pods), "without a proxy")
    assert line.status is Status.BAD
    assert line.text == "3 pods without a proxy, though asking for one"
    assert [detail.partition(":")[0] for detail in line.details] == ["shop/late", "shop/bad", "plain/own"]
    assert line.remedy == (
        "injector enable shop --restart",
        "nothing rolls these, make them anew yourself: shop/bad, plain/own",
    )


def test_long_lists_are_cut_and_counted() -> None:
    line = find(lines([opted_in("shop")], [pod(f"p{number}", "shop") for number in range(14)]), "without a proxy")
    assert len(line.details) == 11
    assert line.details[-1] == "and 4 more"


def test_exempt_pods_are_counted_by_reason() -> None:
    pods = [
        pod("a", "shop", hostNetwork=True),
        pod("b", "shop", hostNetwork=True),
        pod("c", "shop", {INJECT: "disabled"}),
    ]
    line = find(lines([opted_in("shop")], pods), "exempt")
    assert line.text == "3 pods exempt from the mesh"
    assert [detail.split()[0] for detail in line.details] == ["2", "1"]
    assert "(host-network)" in line.details[0]


def test_a_mesh_container_that_cannot_run_is_told() -> None:
    stuck = meshed(pod("a", "shop"))
    stuck["status"] = {
        "phase": "Pending",
        "initContainerStatuses": [{"name": "injector-init", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
    }
    line = find(lines([opted_in("shop")], [stuck]), "cannot run")
    assert line.status is Status.BAD
    assert line.text == "shop/a: injector-init cannot run (CrashLoopBackOff)"
    assert line.remedy[0] == "kubectl logs -n shop a -c injector-init"


def test_pods_with_other_settings_are_noted_by_workload() -> None:
    old = meshed(pod("a", "shop"))
    old["spec"]["initContainers"][1]["image"] = "proxy:old"
    line = find(lines([opted_in("shop")], [old, meshed(pod("b", "shop"))]), "other settings")
    assert line.text == "1 pod with other settings than they would get now"
    wanted = INSTALLATION.proxy_image
    assert line.details == (f"1 of Pod shop/a: injector-proxy: image 'proxy:old' would be {wanted!r}",)


def test_a_deployment_s_pods_are_not_outdated_for_being_owned_by_a_replica_set() -> None:
    value = meshed(pod("web-1-x", "shop"))
    value["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]
    assert all("other settings" not in line.text for line in lines([opted_in("shop")], [value]))
