"""Pods with settings of their own: what is unusual still works, and what cannot work says why."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from injector.inject.names import PROXY_CONTAINER
from tests.cluster.support import pods
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.traffic import counted_exchange, wait_reachable

EQUAL: Final = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
LIMITED: Final = {"limits": {"cpu": "200m", "memory": "64Mi"}}

NOWHERE: Final = {"nameservers": ["192.0.2.1"]}
"""A name server that never answers (RFC 5737): a pod that needs names for itself does not start with it."""


def _reaches_itself(pod: Pod) -> None:
    """Through its own Service, so that its proxy counts both directions."""
    service = pod.sandbox.create(pods.service(pod.name)).object
    host = service["spec"]["clusterIP"]
    wait_reachable(pod, host)
    counted_exchange(pod, f"{host}:{pods.TCP}", (pod, "outbound"), (pod, "inbound"))


@pytest.mark.parametrize(
    "fields",
    [
        {"securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000}},
        {"dnsPolicy": "None", "dnsConfig": NOWHERE},
        {"automountServiceAccountToken": False},
        {"enableServiceLinks": False, "hostname": "somewhere", "subdomain": "else"},
        {"securityContext": {"fsGroup": 3000, "supplementalGroups": [4000], "sysctls": []}},
    ],
    ids=["runAsNonRoot", "dnsPolicy None", "no token", "hostname", "fsGroup"],
)
def test_an_unusual_pod_works_as_any(fields: dict[str, Any], meshed: Sandbox) -> None:
    (pod,) = meshed.start(pods.pod("unusual", pods.spec(**fields)))

    assert pod.meshed
    _reaches_itself(pod)


def test_a_pod_without_the_api_token_gets_none(meshed: Sandbox) -> None:
    (pod,) = meshed.start(pods.pod("tokenless", pods.spec(automountServiceAccountToken=False)))

    audiences = [source["serviceAccountToken"].get("audience") for source in _token_sources(pod.object)]

    assert audiences == ["identity.injector.mesh"]


def _token_sources(pod: Json) -> list[Json]:
    projected = [volume["projected"]["sources"] for volume in pod["spec"]["volumes"] if "projected" in volume]
    return [source for sources in projected for source in sources if "serviceAccountToken" in source]


def test_a_guaranteed_pod_stays_guaranteed(meshed: Sandbox) -> None:
    (pod,) = meshed.start(pods.pod("guaranteed", pods.spec(pods.container(resources=EQUAL))))

    assert pod.object["status"]["qosClass"] == "Guaranteed"
    _reaches_itself(pod)


def test_a_quota_on_limits_admits_a_pod_that_has_them(meshed: Sandbox) -> None:
    hard = {"limits.cpu": "4", "limits.memory": "1Gi", "requests.cpu": "2", "requests.memory": "1Gi", "pods": "5"}
    meshed.create(_object("ResourceQuota", {"hard": hard}))
    used = {"status": {"hard": hard}}
    meshed.api.wait(
        "ResourceQuota",
        "rule",
        meshed.name,
        lambda found: bool(found.get("status", {}).get("used")),
        seconds=30,
        what=str(used),
    )

    (pod,) = meshed.start(pods.pod("limited", pods.spec(pods.container(resources=LIMITED))))

    assert set(_proxy(pod)["resources"]["limits"]) == {"cpu", "memory"}
    _reaches_itself(pod)


def test_a_limit_range_fills_in_the_application_and_suits_the_proxy(meshed: Sandbox) -> None:
    limits = {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "128Mi"},
        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
        "max": {"cpu": "1", "memory": "256Mi"},
    }
    meshed.create(_object("LimitRange", {"limits": [limits]}))

    (pod,) = meshed.start(pods.pod("ranged"))

    assert pod.object["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "128Mi"}
    _reaches_itself(pod)


def test_the_proxys_resources_are_what_the_annotations_say(meshed: Sandbox) -> None:
    wanted = {
        "injector.mesh/proxy-cpu-request": "20m",
        "injector.mesh/proxy-cpu-limit": "1500m",
        "injector.mesh/proxy-memory-request": "24Mi",
        "injector.mesh/proxy-memory-limit": "48Mi",
    }
    (pod,) = meshed.start(pods.pod("sized", annotations=wanted))

    assert _proxy(pod)["resources"] == {
        "requests": {"cpu": "20m", "memory": "24Mi"},
        "limits": {"cpu": "1500m", "memory": "48Mi"},
    }
    workers = next(entry["value"] for entry in _proxy(pod)["env"] if entry["name"] == "INJECTOR_WORKERS")
    assert workers == "2"
    _reaches_itself(pod)


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pod_security_that_forbids_the_init_container_is_named(
    level: str, mesh: object, new_namespace: Callable[..., Sandbox]
) -> None:
    namespace = new_namespace(meshed=True, labels={"pod-security.kubernetes.io/enforce": level})

    with pytest.raises(ApiError) as refused:
        namespace.create(pods.pod("forbidden"))

    assert refused.value.status == 403
    assert "PodSecurity" in refused.value.message
    assert any("Pod Security" in warning and "NET_ADMIN" in warning for warning in refused.value.warnings)


def test_opting_in_a_namespace_with_pod_security_warns_at_once(mesh: object, plain: Sandbox) -> None:
    change = {
        "metadata": {
            "labels": {"pod-security.kubernetes.io/enforce": "baseline"},
            "annotations": {"injector.mesh/inject": "enabled"},
        }
    }
    warnings = plain.api.patch("Namespace", plain.name, change).warnings

    assert any("Pod Security" in warning for warning in warnings), warnings


def _proxy(pod: Pod) -> Json:
    return next(each for each in pod.object["spec"]["initContainers"] if each["name"] == PROXY_CONTAINER)


def _object(kind: str, spec: Json) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "rule"}, "spec": spec}
