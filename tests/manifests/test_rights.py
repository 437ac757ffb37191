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

REPLICA_SETS = "replicasets.apps"
SERVICE_CIDRS = "servicecidrs.networking.k8s.io"
ENDPOINT_SLICES = "endpointslices.discovery.k8s.io"
LEASES = "leases.coordination.k8s.io"
WEBHOOK_CONFIGURATIONS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"

WEBHOOK: dict[Right, str] = {
    (CLUSTER, "get", "namespaces", ANY): "one too new for the cache is read once",
    (CLUSTER, "list", "namespaces", ANY): "fills the cache of namespaces' annotations",
    (CLUSTER, "watch", "namespaces", ANY): "keeps that cache fresh",
    (CLUSTER, "get", REPLICA_SETS, ANY): "one too new for the cache is read once, for its Deployment's name",
    (CLUSTER, "list", REPLICA_SETS, ANY): "fills the cache of owners",
    (CLUSTER, "watch", REPLICA_SETS, ANY): "keeps that cache fresh",
    (CLUSTER, "get", "jobs.batch", ANY): "one too new for the cache is read once, for its CronJob's name",
    (CLUSTER, "list", "jobs.batch", ANY): "fills the cache of owners",
    (CLUSTER, "watch", "jobs.batch", ANY): "keeps that cache fresh",
    (SYSTEM, "list", "secrets", "injector-webhook-tls"): "the serving certificate and key",
    (SYSTEM, "watch", "secrets", "injector-webhook-tls"): "a renewed one is served without a restart",
}

CONTROLLER: dict[Right, str] = {
    (CLUSTER, "list", WEBHOOK_CONFIGURATIONS, "injector"): "whether caBundle is what it should be",
    (CLUSTER, "watch", WEBHOOK_CONFIGURATIONS, "injector"): "whoever reverts it is answered within a second",
    (CLUSTER, "patch", WEBHOOK_CONFIGURATIONS, "injector"): "caBundle and the owner, by server-side apply",
    (CLUSTER, "get", "namespaces", ANY): "the uid of injector-system, owner of the webhook configuration",
    (CLUSTER, "list", "namespaces", ANY): "which namespaces are opted in",
    (CLUSTER, "watch", "namespaces", ANY): "the moment one is opted in",
    (CLUSTER, "list", "pods", ANY): "opted-in pods without a proxy",
    (CLUSTER, "watch", "pods", ANY): "the same, within seconds of the fact",
    (CLUSTER, "create", "events", ANY): "InjectorNotInjected, on the pod",
    (CLUSTER, "get", "events", ANY): "how often one that repeats was said",
    (CLUSTER, "patch", "events", ANY): "once more",
    (CLUSTER, "create", "configmaps", ANY): "injector-mesh, the first time; create cannot be limited by name",
    (CLUSTER, "list", "configmaps", "injector-mesh"): "whether every meshed namespace knows whom to trust",
    (CLUSTER, "watch", "configmaps", "injector-mesh"): "one that was changed or deleted is repaired at once",
    (CLUSTER, "patch", "configmaps", "injector-mesh"): "new roots, new addresses, a repair",
    (CLUSTER, "delete", "configmaps", "injector-mesh"): "a namespace that left the mesh needs it no more",
    (CLUSTER, "list", "nodes", ANY): "the pod ranges, which are the cluster's networks",
    (CLUSTER, "watch", "nodes", ANY): "a node that joins brings its range",
    (CLUSTER, "list", SERVICE_CIDRS, ANY): "the Services' ranges, read again every five minutes",
    (SYSTEM, "list", "secrets", "injector-identity-root"): "the root and its key, which only rotation uses",
    (SYSTEM, "watch", "secrets", "injector-identity-root"): "one that was deleted or spoilt is noticed at once",
    (SYSTEM, "update", "secrets", "injector-identity-root"): "the steps of a rotation",
    (SYSTEM, "list", "configmaps", "injector-identity"): "what is published of roots and issuer",
    (SYSTEM, "watch", "configmaps", "injector-identity"): "one that was changed is repaired at once",
    (SYSTEM, "update", "configmaps", "injector-identity"): "new roots, a signed issuer, the state of a rotation",
    (SYSTEM, "list", "secrets", "injector-identity-request"): "the issuer's request for a certificate",
    (SYSTEM, "watch", "secrets", "injector-identity-request"): "a new one is signed at once",
    (SYSTEM, "list", "configmaps", "injector-identity-rotation"): "what people ask of a rotation",
    (SYSTEM, "watch", "configmaps", "injector-identity-rotation"): "the same, at once",
    (SYSTEM, "list", "configmaps", "injector-identity-given"): "roots that the user gives",
    (SYSTEM, "watch", "configmaps", "injector-identity-given"): "others, given later",
    (SYSTEM, "list", "services", ANY): "cluster IPs of identity and discovery",
    (SYSTEM, "watch", "services", ANY): "a Service that was made anew has another",
    (SYSTEM, "create", "secrets", ANY): "the three secrets, the first time; create cannot be limited by name",
    (SYSTEM, "list", "secrets", "injector-webhook-ca"): "the CA, and when it is to be renewed",
    (SYSTEM, "watch", "secrets", "injector-webhook-ca"): "one that was deleted or spoilt is repaired at once",
    (SYSTEM, "update", "secrets", "injector-webhook-ca"): "a renewal, only if nobody changed it meanwhile",
    (SYSTEM, "list", "secrets", "injector-webhook-tls"): "the certificate, and when it is to be renewed",
    (SYSTEM, "watch", "secrets", "injector-webhook-tls"): "one that was deleted or spoilt is repaired at once",
    (SYSTEM, "update", "secrets", "injector-webhook-tls"): "a renewal, only if nobody changed it meanwhile",
    (SYSTEM, "create", LEASES, ANY): "the Lease, the first time; create cannot be limited by name",
    (SYSTEM, "get", LEASES, "injector-controller"): "who leads",
    (SYSTEM, "update", LEASES, "injector-controller"): "leading, and giving it up",
}

IDENTITY: dict[Right, str] = {
    (CLUSTER, "create", "tokenreviews.authentication.k8s.io", ANY): "whose a token is",
    (SYSTEM, "create", "secrets", ANY): "the issuer's key and the request, the first time; no limit by name",
    (SYSTEM, "list", "secrets", "injector-identity-issuer"): "the issuer's key, read again each minute",
    (SYSTEM, "watch", "secrets", "injector-identity-issuer"): "a new issuer signs in every replica at once",
    (SYSTEM, "update", "secrets", "injector-identity-issuer"): "a renewal, only if nobody changed it meanwhile",
    (SYSTEM, "list", "configmaps", "injector-identity"): "the signed issuer and the roots, read again each minute",
    (SYSTEM, "watch", "configmaps", "injector-identity"): "the certificate for the key, once it is signed",
    (SYSTEM, "get", "secrets", "injector-identity-request"): "what was asked for",
    (SYSTEM, "update", "secrets", "injector-identity-request"): "asks again, with a new key",
    (SYSTEM, "create", LEASES, ANY): "the Lease, the first time; create cannot be limited by name",
    (SYSTEM, "get", LEASES, "injector-identity"): "who makes the key",
    (SYSTEM, "update", LEASES, "injector-identity"): "leading, and giving it up",
}

DISCOVERY: dict[Right, str] = {
    (CLUSTER, "list", "services", ANY): "who is behind an address",
    (CLUSTER, "watch", "services", ANY): "the same, at once",
    (CLUSTER, "list", "pods", ANY): "which endpoint has a proxy, and whose identity",
    (CLUSTER, "watch", "pods", ANY): "the same, at once",
    (CLUSTER, "list", "nodes", ANY): "zones (metadata only)",
    (CLUSTER, "watch", "nodes", ANY): "the same, at once",
    (CLUSTER, "list", "namespaces", ANY): "ports that their annotations declare to be opaque (metadata only)",
    (CLUSTER, "watch", "namespaces", ANY): "the same, at once",
    (CLUSTER, "list", ENDPOINT_SLICES, ANY): "the endpoints of Services",
    (CLUSTER, "watch", ENDPOINT_SLICES, ANY): "the same, at once",
    (SYSTEM, "list", "configmaps", "injector-identity"): "which issuer's certificates are wanted",
    (SYSTEM, "watch", "configmaps", "injector-identity"): "the same, at once",
}

ACCOUNTS = {
    "injector-webhook": WEBHOOK,
    "injector-controller": CONTROLLER,
    "injector-identity": IDENTITY,
    "injector-discovery": DISCOVERY,
}

OBJECTS = [document.value for document in load_manifests()]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [value for value in OBJECTS if value["kind"] == kind]


def rights(account: str) -> Iterator[Right]:
    """All that RBAC grants the account, an entry for each verb, resource and name."""
    roles = {
        (role["kind"], role["metadata"]["name"]): role["rules"] for role in of_kind("Role") + of_kind("ClusterRole")
    }
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


@pytest.mark.parametrize(("account", "expected"), ACCOUNTS.items())
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
    ours = {
        ("events", ANY),
        (WEBHOOK_CONFIGURATIONS, "injector"),
        ("configmaps", "injector-mesh"),
        ("tokenreviews.authentication.k8s.io", ANY),
    }
    for account in ACCOUNTS:
        for where, verb, resource, name in rights(account):
            assert "*" not in (verb, resource, name)
            changes = verb not in {"get", "list", "watch"}
            if changes and where == CLUSTER:
                assert (resource, name) in ours or (verb, resource) == ("create", "configmaps")


def test_a_key_is_readable_by_one_account_only() -> None:
    """The issuer never sees the root's key, nor rotation the issuer's; nobody else sees either."""
    for secret, reader in (
        ("injector-identity-issuer", "injector-identity"),
        ("injector-identity-root", "injector-controller"),
    ):
        readers = {
            account
            for account in ACCOUNTS
            for _, verb, resource, name in rights(account)
            if resource == "secrets" and verb != "create" and name in (secret, ANY)
        }
        assert readers == {reader}


def test_no_other_rule_or_account_hides_in_the_manifests() -> None:
    known = {("Role", name) for name in ACCOUNTS}
    known |= {("ClusterRole", name) for _, name in known}
    assert {(role["kind"], role["metadata"]["name"]) for role in of_kind("Role") + of_kind("ClusterRole")} == known
    assert all(
        "nonResourceURLs" not in rule for role in of_kind("Role") + of_kind("ClusterRole") for rule in role["rules"]
    )
    assert all("aggregationRule" not in role for role in of_kind("ClusterRole"))
