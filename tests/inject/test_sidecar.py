"""What is added: as few rights as will do. Goldens can be written anew without a thought; these cannot."""

import pytest
from hypothesis import given

from injector.inject.installation import Installation
from injector.inject.model import Json
from injector.inject.sidecar import literal
from tests.inject.objects import INSTALLATION, annotated, init_of, injected, named, pod, proxy_of, told
from tests.inject.strategies import pods

VOLUMES = ("injector-identity", "injector-token")


@given(pods())
def test_only_the_init_container_may_change_the_network_and_none_may_more(subject: Json) -> None:
    patched = injected(subject)
    init, proxy = (it["securityContext"] for it in (init_of(patched), proxy_of(patched)))
    assert init["capabilities"] == {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}
    assert proxy["capabilities"] == {"drop": ["ALL"]}
    for security in (init, proxy):
        assert security["allowPrivilegeEscalation"] is False
        assert security["privileged"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (proxy["runAsUser"], proxy["runAsGroup"], proxy["runAsNonRoot"]) == (2102, 2102, True)


def test_the_init_container_is_root_even_in_a_pod_that_says_nobody_is() -> None:
    patched = injected(pod(securityContext={"runAsNonRoot": True, "runAsUser": 1000}))
    assert init_of(patched)["securityContext"]["runAsUser"] == 0
    assert init_of(patched)["securityContext"]["runAsNonRoot"] is False
    assert patched["spec"]["securityContext"] == {"runAsNonRoot": True, "runAsUser": 1000}


def test_the_proxys_user_is_the_installations() -> None:
    patched = injected(pod(), installation=Installation(proxy_image="proxy:1", proxy_uid=7777))
    assert proxy_of(patched)["securityContext"]["runAsUser"] == 7777
    assert "--uid-owner 7777 " in named(init_of(patched)["env"], "INJECTOR_IPTABLES_RULES")["value"]


def test_nothing_runs_but_the_proxys_own_program() -> None:
    init, proxy = init_of(injected(pod())), proxy_of(injected(pod()))
    assert (init["args"], proxy["args"]) == (["init"], ["run"])
    assert "command" not in {*init, *proxy}
    assert proxy["lifecycle"] == {"postStart": {"exec": {"command": ["/usr/local/bin/injector-proxy", "await"]}}}
    assert init["image"] == proxy["image"] == INSTALLATION.proxy_image


def test_the_init_container_ends_and_the_proxy_is_a_native_sidecar_that_the_kubelet_watches() -> None:
    init, proxy = init_of(injected(pod())), proxy_of(injected(pod()))
    assert "restartPolicy" not in init
    assert not {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports"} & init.keys()
    assert proxy["restartPolicy"] == "Always"
    assert proxy["livenessProbe"]["httpGet"] == {"path": "/live", "port": 4191, "scheme": "HTTP"}
    assert proxy["ports"] == [{"name": "injector-admin", "containerPort": 4191, "protocol": "TCP"}]


def test_keys_stay_in_memory_and_the_token_is_for_the_issuer_alone_and_for_an_hour_at_most() -> None:
    identity, token = (named(injected(pod())["spec"]["volumes"], name) for name in VOLUMES)
    assert identity["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Mi"}
    source, trust = token["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "identity.injector.mesh"
    assert source["serviceAccountToken"]["expirationSeconds"] <= 3600
    files = [{"key": name, "path": name} for name in ("roots.pem", "mesh.json")]
    assert trust == {"configMap": {"name": "injector-mesh", "items": files}}


def test_no_container_of_ours_gets_the_applications_token() -> None:
    for ours in injected(pod())["spec"]["initContainers"]:
        (mount,) = [it for it in ours["volumeMounts"] if it["mountPath"].startswith("/var/run/secrets/")]
        assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
        assert mount["name"] in VOLUMES
        assert mount["readOnly"] is True


def test_the_init_container_is_told_its_rules_and_nothing_else() -> None:
    names = [it["name"] for it in init_of(injected(pod()))["env"]]
    assert names == ["INJECTOR_IPTABLES_RULES", "INJECTOR_IP6TABLES_RULES"]


@pytest.mark.parametrize(
    ("variable", "source"),
    [
        ("INJECTOR_POD_NAME", "metadata.name"),
        ("INJECTOR_POD_NAMESPACE", "metadata.namespace"),
        ("INJECTOR_POD_UID", "metadata.uid"),
        ("INJECTOR_POD_IPS", "status.podIPs"),
        ("INJECTOR_NODE_NAME", "spec.nodeName"),
        ("INJECTOR_SERVICE_ACCOUNT", "spec.serviceAccountName"),
    ],
)
def test_the_proxy_is_told_where_it_runs(variable: str, source: str) -> None:
    assert named(proxy_of(injected(pod()))["env"], variable)["valueFrom"]["fieldRef"]["fieldPath"] == source


@pytest.mark.parametrize(
    ("words", "variable", "text"),
    [
        (annotated(log_level="trace"), "INJECTOR_LOG_LEVEL", "trace"),
        (annotated(log_format="json"), "INJECTOR_LOG_FORMAT", "json"),
        (annotated(shutdown_grace="2m"), "INJECTOR_SHUTDOWN_GRACE_SECONDS", "120"),
        (annotated(shutdown_grace="0s"), "INJECTOR_SHUTDOWN_GRACE_SECONDS", "0"),
        (annotated(opaque_ports="3306, 25,5000-5010"), "INJECTOR_OPAQUE_PORTS", "25,3306,5000-5010"),
        (annotated(opaque_ports=""), "INJECTOR_OPAQUE_PORTS", ""),
    ],
)
def test_the_proxy_is_told_the_pods_settings(words: dict[str, str], variable: str, text: str) -> None:
    assert told(injected(pod(annotations=words)), variable) == text


@pytest.mark.parametrize(
    ("text", "written"), [("", ""), ("a", "a"), ("$", "$$"), ("$(HOME)", "$$(HOME)"), ("$$(X)", "$$$$(X)")]
)
def test_kubernetes_expands_nothing_in_a_literal(text: str, written: str) -> None:
    assert literal(text) == written
