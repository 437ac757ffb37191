"""`injector install`: the manifests, and each option's effect."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from injector.cli.documents.read import read_documents
from injector.cli.manifests import find, load_manifests
from injector.cli.render import CHECKSUM, DEPLOYMENTS, INSTALLATION_KEY, InstallSettings, render
from injector.inject.installation import Installation
from tests.cli.conftest import Run

DIGEST = "sha256:" + "0123456789abcdef" * 4


def installed(run: Run, *arguments: str) -> list[Any]:
    result = run("install", *arguments)
    assert (result.code, result.err) == (0, "")
    documents, faults = read_documents(result.out.encode(), "out")
    assert not faults
    return documents


def settings(documents: list[Any]) -> Installation:
    text = find(documents, "ConfigMap", "injector-installation")["data"][INSTALLATION_KEY]
    (document,), faults = read_documents(text.encode(), "settings")
    assert not faults
    return Installation.parse(document.value)


def webhook_pod(documents: list[Any]) -> dict[str, Any]:
    pod: dict[str, Any] = find(documents, "Deployment", "injector-webhook")["spec"]["template"]["spec"]
    return pod


def test_defaults_are_the_manifests_comments_and_all(run: Run) -> None:
    result = run("install")
    documents = installed(run)
    assert [document.value for document in documents] == [document.value for document in load_manifests()]
    assert "# Owns caBundle of this one object" in result.out
    assert "caBundle:" not in result.out


def test_the_same_options_give_the_same_bytes(run: Run) -> None:
    options = ["--registry", "r.example.com/x", "--extra-env", "B=2", "--extra-env", "A=1", "--host-network"]
    assert run("install").out == run("install").out
    assert run("install", *options).out == run("install", *options).out


def test_json_is_one_list_of_the_same_objects(run: Run) -> None:
    listed = json.loads(run("install", "-o", "json").out)
    assert listed["kind"] == "List"
    assert listed["items"] == [document.value for document in load_manifests()]


def test_only_what_an_option_concerns_is_written_anew() -> None:
    manifests = load_manifests()
    rendered = render(manifests, InstallSettings(failure_policy="Ignore"))
    changed = [new.source for old, new in zip(manifests, rendered, strict=True) if new is not old]
    assert changed == ["mutatingwebhookconfiguration.yaml"]


def test_images(run: Run) -> None:
    options = [
        "--registry",
        "r.example.com:5000/mesh/",
        "--tag",
        "9",
        "--proxy-digest",
        DIGEST,
        "--image-pull-policy",
        "Always",
    ]
    options += ["--controller-digest", DIGEST, "--image-pull-secret", "pull"]
    documents = installed(run, *options)
    assert settings(documents).proxy_image == f"r.example.com:5000/mesh/proxy:9@{DIGEST}"
    assert settings(documents).image_pull_policy == "Always"
    assert settings(documents).image_pull_secret == "pull"
    for name in DEPLOYMENTS:
        pod = find(documents, "Deployment", name)["spec"]["template"]["spec"]
        assert pod["imagePullSecrets"] == [{"name": "pull"}]
        assert pod["containers"][0]["image"] == f"r.example.com:5000/mesh/controller:9@{DIGEST}"
        assert pod["containers"][0]["imagePullPolicy"] == "Always"
    listed = run("install", "--list-images", *options)
    assert listed.out.splitlines() == [f"r.example.com:5000/mesh/{name}:9@{DIGEST}" for name in ("controller", "proxy")]


def test_whom_the_mesh_trusts_and_where_it_ends(run: Run) -> None:
    options = ["--trust-domain", "mesh.example", "--network", "10.0.0.0/8", "--network", "fd00::/8"]
    given = settings(installed(run, *options))
    assert (given.trust_domain, given.networks) == ("mesh.example", ("10.0.0.0/8", "fd00::/8"))
    assert (settings(installed(run)).trust_domain, settings(installed(run)).networks) == ("cluster.local", ())


def test_settings_of_pods_and_a_checksum_that_rolls_them_out(run: Run) -> None:
    documents = installed(run, "--default", "log-level=debug", "--extra-env", "A=b=c", "--proxy-uid", "77")
    assert settings(documents).defaults == {"log-level": "debug"}
    assert settings(documents).extra_env == {"A": "b=c"}
    assert settings(documents).proxy_uid == 77
    text = find(documents, "ConfigMap", "injector-installation")["data"][INSTALLATION_KEY]
    for name in DEPLOYMENTS:
        annotations = find(documents, "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
        assert annotations[CHECKSUM] == hashlib.sha256(text.encode()).hexdigest()
    assert find(load_manifests(), "ConfigMap", "injector-installation")["data"][INSTALLATION_KEY] != text


def test_failure_policy(run: Run) -> None:
    webhooks = find(installed(run, "--failure-policy", "Ignore"), "MutatingWebhookConfiguration", "injector")[
        "webhooks"
    ]
    assert [webhook["failurePolicy"] for webhook in webhooks] == ["Ignore"] * 3


def test_ports_reach_flags_containers_and_policies(run: Run) -> None:
    documents = installed(run, "--webhook-port", "10250", "--webhook-admin-port", "9090", "--api-server-port", "16443")
    container = webhook_pod(documents)["containers"][0]
    assert {"--port=10250", "--admin-port=9090"} <= set(container["args"])
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"https": 10250, "admin": 9090}

    def ports(policy: str, direction: str) -> list[int]:
        rule = find(documents, "NetworkPolicy", policy)["spec"][direction][-1]
        return [port["port"] for port in rule["ports"]]

    assert ports("injector-webhook", "ingress") == [10250]
    assert ports("injector-admin", "ingress") == [8080, 9090]
    assert ports("injector-egress", "egress") == [443, 6443, 16443]
    assert find(documents, "Service", "injector-webhook")["spec"]["ports"][0]["targetPort"] == "https"


def test_host_network_allows_itself_and_never_needs_two_on_a_node(run: Run) -> None:
    documents = installed(run, "--host-network")
    assert webhook_pod(documents)["hostNetwork"] is True
    assert webhook_pod(documents)["dnsPolicy"] == "ClusterFirstWithHostNet"
    strategy = find(documents, "Deployment", "injector-webhook")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}
    labels = find(documents, "Namespace", "injector-system")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    assert "hostNetwork" not in find(documents, "Deployment", "injector-controller")["spec"]["template"]["spec"]


def test_every_fault_at_once(run: Run) -> None:
    result = run(
        "install", "--registry", "a b", "--tag", "-", "--proxy-digest", "x", "--webhook-port", "8080",
        "--extra-env", "LD_PRELOAD=x", "--default", "nope=1", "--proxy-uid", "0",
        "--trust-domain", "A", "--network", "1",
    )  # fmt: skip
    assert (result.code, result.out) == (2, "")
    for part in (
        "--registry", "--tag", "--proxy-digest", "--webhook-port", "LD_PRELOAD", "defaults.nope", "proxyUid",
        "trustDomain", "networks",
    ):  # fmt: skip
        assert part in result.err


@pytest.mark.parametrize("option", ["--default", "--extra-env"])
def test_pairs_are_pairs(run: Run, option: str) -> None:
    result = run("install", option, "nonsense")
    assert (result.code, result.err) == (2, f"error: {option}: expected key=value, got 'nonsense'\n")


def test_the_output_is_an_installation_that_inject_can_read(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "install.yaml"
    path.write_text(run("install", "--default", "shutdown-grace=5s").out)
    pod = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: x}]}\n"
    out = run("inject", "--installation", str(path), "-", stdin=pod).out
    assert 'name: INJECTOR_SHUTDOWN_GRACE_SECONDS\n      value: "5"' in out
