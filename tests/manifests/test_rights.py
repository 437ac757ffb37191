"""Every right that the mesh's ServiceAccounts have, each with its reason. A right that is not here fails the test."""

from collections.abc import Iterator
from typing import Any

import pytest

from injector.cli.manifests import load_manifests

CLUSTER = "*"
SYSTEM = "injector-system"
ANY = "any"

Right = tuple[str, str, str, str]
"""Where it holds, verb, resource with its API group, name."""

WEBHOOK: dict[Right, str] = {
    (CLUSTER, "get", "namespaces", ANY): "a namespace too new for the cache is read once",
    (CLUSTER, "list", "namespaces", ANY): "fills the cache of namespaces' annotations",
    (CLUSTER, "watch", "namespaces", ANY): "keeps that cache fresh",
    (CLUSTER, "get", "replicasets.apps", ANY): "a ReplicaSet too new for the cache is read once, for its Deployment's name",
    (CLUSTER, "list", "replicasets.apps", ANY): "fills the cache of owners",
    (CLUSTER, "watch", "replicasets.apps", ANY): "keeps that cache fresh",
    (CLUSTER, "get", "jobs.batch", ANY): "a Job too new for the cache is read once, for its CronJob's name",
    (CLUSTER, "list", "jobs.batch", ANY): "fills the cache of owners",
    (CLUSTER, "watch", "jobs.batch", ANY): "keeps that cache fresh",
    (SYSTEM, "get", "secrets", "injector-webhook-tls"): "the serving certificate and key",
    (SYSTEM, "list", "secrets", "injector-webhook-tls"): "a watch begins with a list of that one name",
    (SYSTEM, "watch", "secrets", "injector-webhook-tls"): "a renewed certificate is served without a restart",
}

CONTROLLER: dict[Right, str] = {
    **{
        (CLUSTER, verb, "mutatingwebhookconfigurations.admissionregistration.k8s.io", "injector"): reason
        for verb, reason in {
            "get": "whether caBundle is what it should be",
            "list": "a watch begins with a list of that one name",
            "watch": "whoever reverts caBundle is answered within a second",
            "patch": "caBundle, by server-side apply",
        }.items()
    },
    (CLUSTER, "get", "namespaces", ANY): "the uid of injector-system, owner of the webhook configuration",
    (CLUSTER, "list", "namespaces", ANY): "which namespaces are opted in",
    (CLUSTER, "watch", "namespaces", ANY): "the moment one is opted in",
    (CLUSTER, "get", "pods", ANY): "a pod is read again before it is said to run without a proxy",
    (CLUSTER, "list", "pods", ANY): "opted-in pods without a proxy",
    (CLUSTER, "watch", "pods", ANY): "the same, within seconds of the fact",
    (CLUSTER, "create", "events", ANY): "InjectorNotInjected, on the pod",
    (CLUSTER, "patch", "events", ANY): "the count of an event that repeats",
    (SYSTEM, "create", "secrets", ANY): "the two secrets, the first time; create cannot be limited by name",
    (SYSTEM, "create", "leases.coordination.k8s.io", ANY): "the Lease, the first time; create cannot be limited by name",
    **{
        (SYSTEM, verb, "secrets", name): reason
        for name in ("injector-webhook-ca", "injector-webhook-tls")
        for verb, reason in {
            "get": "what is to be renewed, and when",
            "list": "a watch begins with a list of that one name",
            "watch": "one that was deleted or spoilt is repaired at once",
            "update": "a renewal, only if nobody changed it meanwhile",
            "patch": "the same by server-side apply",
        }.items()
    },
    (SYSTEM, "get", "leases.coordination.k8s.io", "injector-controller"): "who leads",
    (SYSTEM, "update", "leases.coordination.k8s.io", "injector-controller"): "leading, and giving it up",
    (SYSTEM, "patch", "leases.coordination.k8s.io", "injector-controller"): "the same by server-side apply",
}

OBJECTS = [document.value for document in load_manifests()]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [value for value in OBJECTS if value["kind"] == kind]


def rights(account: str) -> Iterator[Right]:
    """All that RBAC grants the account, an entry for each verb, resource and name."""
    roles = {(role["kind"], role["metadata"]["name"]): role["rules"] for role in of_kind("Role") + of_kind("ClusterRole")}
    for binding in of_kind("RoleBinding") + of_kind("ClusterRoleBinding"):
        if not any(subject.get("name") == account for subject in binding["subjects"]):
            continue
        where = CLUSTER if binding["kind"] == "ClusterRoleBinding" else binding["metadata"]["namespace"]
        for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]:
            yield from (
                (where, verb, f"{resource}.{group}" if group else resource, name)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames", [ANY])
            )


@pytest.mark.parametrize(("account", "expected"), [("injector-webhook", WEBHOOK), ("injector-controller", CONTROLLER)])
def test_an_account_has_exactly_the_rights_that_have_a_reason(account: str, expected: dict[Right, str]) -> None:
    granted = list(rights(account))
    assert len(granted) == len(set(granted)), "a right is granted twice"
    assert set(granted) == set(expected)


def test_only_the_mesh_s_own_accounts_are_bound() -> None:
    bindings = of_kind("RoleBinding") + of_kind("ClusterRoleBinding")
    subjects = {(s["kind"], s.get("namespace"), s["name"]) for binding in bindings for s in binding["subjects"]}
    accounts = {("ServiceAccount", SYSTEM, account["metadata"]["name"]) for account in of_kind("ServiceAccount")}
    assert subjects == accounts


def test_nothing_of_other_people_s_can_be_changed_and_nothing_is_a_wildcard() -> None:
    for account in ("injector-webhook", "injector-controller"):
        for where, verb, resource, name in rights(account):
            assert "*" not in (verb, resource, name)
            changes = verb not in {"get", "list", "watch"}
            if changes and where == CLUSTER:
                assert resource == "events" or name == "injector"


def test_no_other_rule_or_account_hides_in_the_manifests() -> None:
    known = {("Role", name) for name in ("injector-webhook", "injector-controller")}
    known |= {("ClusterRole", name) for _, name in known}
    assert {(role["kind"], role["metadata"]["name"]) for role in of_kind("Role") + of_kind("ClusterRole")} == known
    assert all("nonResourceURLs" not in rule for role in of_kind("Role") + of_kind("ClusterRole") for rule in role["rules"])
    assert all("aggregationRule" not in role for role in of_kind("ClusterRole"))
