"""What the manifests promise, object by object."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from injector import __version__
from injector.cli.manifests import find, load_manifests, manifest_directory
from injector.cli.render import CHECKSUM, DEPLOYMENTS, INSTALLATION_KEY, images, installation
from injector.inject.names import INJECT, SYSTEM_NAMESPACES, TOKEN_AUDIENCE

DOCUMENTS = load_manifests()
DIRECTORY = Path(str(manifest_directory()))
WEBHOOKS = find(DOCUMENTS, "MutatingWebhookConfiguration", "injector")["webhooks"]


def pod_of(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = find(DOCUMENTS, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def test_every_file_is_listed_and_the_kustomization_changes_nothing() -> None:
    kustomization = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())
    assert set(kustomization) == {"apiVersion", "kind", "resources"}
    files = {path.name for path in DIRECTORY.glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(kustomization["resources"]) == sorted(files)


def test_a_file_has_one_kind_and_is_named_after_it() -> None:
    for path in DIRECTORY.glob("*.yaml"):
        if path.name == "kustomization.yaml":
            continue
        kinds = {document["kind"] for document in yaml.safe_load_all(path.read_text())}
        assert len(kinds) == 1, path.name
        assert path.stem in {f"{kind.lower()}{plural}" for kind in kinds for plural in ("", "s")} | {"networkpolicies"}


def test_pyyaml_and_the_command_line_read_the_same() -> None:
    for path in DIRECTORY.glob("*.yaml"):
        if path.name != "kustomization.yaml":
            ours = [document.value for document in DOCUMENTS if document.source == path.name]
            assert ours == list(yaml.safe_load_all(path.read_text()))


def test_everything_belongs_to_the_system_namespace_or_to_none() -> None:
    for document in DOCUMENTS:
        assert document.value["metadata"].get("namespace", "injector-system") == "injector-system"
        assert document.value["metadata"]["labels"]["app.kubernetes.io/part-of"] == "injector"


def test_webhook_configuration_stands_last_so_that_nothing_waits_for_a_webhook_not_yet_there() -> None:
    kinds = [document.value["kind"] for document in DOCUMENTS]
    assert kinds[0] == "Namespace"
    assert kinds[-1] == "MutatingWebhookConfiguration"


def test_three_webhook_entries_that_see_only_what_asked() -> None:
    assert [webhook["name"] for webhook in WEBHOOKS] == [
        "namespaces.injector.mesh",
        "pods.injector.mesh",
        "annotated-pods.injector.mesh",
    ]
    assert [webhook["clientConfig"]["service"]["path"] for webhook in WEBHOOKS] == [
        "/mutate/namespaces",
        "/mutate/pods",
        "/mutate/annotated-pods",
    ]
    for webhook in WEBHOOKS:
        expected = {
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "matchPolicy": "Equivalent",
            "admissionReviewVersions": ["v1"],
        }
        assert {key: webhook[key] for key in expected} == expected
        assert webhook["matchConditions"]
        left_alone = webhook["namespaceSelector"]["matchExpressions"][0]
        assert left_alone["key"] == "kubernetes.io/metadata.name"
        assert left_alone["operator"] == "NotIn"
        assert set(left_alone["values"]) == SYSTEM_NAMESPACES


def test_the_two_pod_entries_never_see_the_same_pod() -> None:
    _, labelled, elsewhere = (webhook["namespaceSelector"]["matchExpressions"][1:] for webhook in WEBHOOKS)
    assert labelled == [{"key": INJECT, "operator": "In", "values": ["enabled"]}]
    assert elsewhere == [{"key": INJECT, "operator": "NotIn", "values": ["enabled"]}]


def test_rendered_text_has_no_ca_bundle_and_no_optional_types_of_newer_kubernetes() -> None:
    for webhook in WEBHOOKS:
        assert "caBundle" not in webhook["clientConfig"]
        for condition in webhook["matchConditions"]:
            assert not re.search(r"\.\?|\[\?|optional\.", condition["expression"])


def test_the_checksum_of_the_settings_is_on_every_deployment() -> None:
    text = find(DOCUMENTS, "ConfigMap", "injector-installation")["data"][INSTALLATION_KEY]
    for name in DEPLOYMENTS:
        annotations = find(DOCUMENTS, "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
        assert annotations[CHECKSUM] == hashlib.sha256(text.encode()).hexdigest()


def test_images_are_of_this_version() -> None:
    assert images(DOCUMENTS) == [f"ghcr.io/injector-mesh/{name}:{__version__}" for name in ("controller", "proxy")]
    assert installation(DOCUMENTS).image_pull_policy == "IfNotPresent"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_meet_pod_security_restricted_and_more(name: str) -> None:
    pod = pod_of(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_survive_nodes(name: str) -> None:
    deployment, pod = find(DOCUMENTS, "Deployment", name), pod_of(name)
    assert deployment["spec"]["replicas"] == 2
    assert find(DOCUMENTS, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert set(pod["affinity"]["podAntiAffinity"]) == {"preferredDuringSchedulingIgnoredDuringExecution"}
    assert [spread["whenUnsatisfiable"] for spread in pod["topologySpreadConstraints"]] == ["ScheduleAnyway"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_selectors_and_probes_point_at_what_is_there(name: str) -> None:
    deployment = find(DOCUMENTS, "Deployment", name)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    container = pod_of(name)["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["admin"] == 8080
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}


def test_the_service_leads_to_the_webhook() -> None:
    service = find(DOCUMENTS, "Service", "injector-webhook")["spec"]
    assert service["ports"] == [{"name": "https", "port": 443, "targetPort": "https"}]
    labels = find(DOCUMENTS, "Deployment", "injector-webhook")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert {webhook["clientConfig"]["service"]["port"] for webhook in WEBHOOKS} == {443}


def test_a_cluster_that_denies_by_default_lets_through_what_is_needed() -> None:
    def tcp(policy: str, direction: str) -> set[int]:
        """Ports that are open to or from everybody: no peer of these can be named."""
        rules = find(DOCUMENTS, "NetworkPolicy", policy)["spec"][direction]
        everybody = [rule for rule in rules if set(rule) == {"ports"}]
        return {port["port"] for rule in everybody for port in rule["ports"] if port["protocol"] == "TCP"}

    assert tcp("injector-webhook", "ingress") == {8443}
    assert tcp("injector-grpc", "ingress") == {8443}
    assert tcp("injector-admin", "ingress") == {8080}
    assert tcp("injector-egress", "egress") == {53, 443, 6443}
    (within,) = [rule for rule in find(DOCUMENTS, "NetworkPolicy", "injector-egress")["spec"]["egress"] if "to" in rule]
    assert within["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert [set(peer) for peer in within["to"]] == [{"podSelector"}], "within injector-system"


@pytest.mark.parametrize("name", ["injector-identity", "injector-discovery"])
def test_proxies_reach_identity_and_discovery(name: str) -> None:
    service = find(DOCUMENTS, "Service", name)["spec"]
    assert service["ports"] == [{"name": "grpc", "port": 8443, "targetPort": "grpc"}]
    labels = find(DOCUMENTS, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    (selector,) = find(DOCUMENTS, "NetworkPolicy", "injector-grpc")["spec"]["podSelector"]["matchExpressions"]
    assert labels[selector["key"]] in selector["values"]


def test_only_the_controller_starts_before_there_are_roots() -> None:
    """It makes them; a pod that needs them waits in the kubelet's hands until they are there."""
    for name, optional in (("injector-controller", True), ("injector-discovery", None)):
        (volume,) = [volume for volume in pod_of(name)["volumes"] if volume["name"] == "injector-token"]
        token, roots = volume["projected"]["sources"]
        assert token["serviceAccountToken"]["audience"] == TOKEN_AUDIENCE
        assert roots["configMap"]["name"] == "injector-identity"
        assert roots["configMap"].get("optional") is optional


def test_every_rule_of_a_role_says_why() -> None:
    for name in ("clusterroles.yaml", "roles.yaml"):
        lines = (DIRECTORY / name).read_text().splitlines()
        rules = [number for number, line in enumerate(lines) if line.startswith("  - apiGroups:")]
        assert rules
        for number in rules:
            assert lines[number - 1].startswith("  # "), f"{name}:{number + 1}"


def test_every_account_gets_its_token_only_where_a_deployment_asks() -> None:
    for name in DEPLOYMENTS:
        assert find(DOCUMENTS, "ServiceAccount", name)["automountServiceAccountToken"] is False
        assert pod_of(name)["automountServiceAccountToken"] is True
        assert pod_of(name)["serviceAccountName"] == name
