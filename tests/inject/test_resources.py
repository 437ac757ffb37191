"""CPU and memory: the pod keeps its class, passes the quotas that it passed, and gets what its annotations say."""

from typing import Any

import pytest
from hypothesis import given

from injector.inject import quantity
from injector.inject.model import Json
from injector.inject.resources import GUARANTEED_LIMIT, IMPLIED_LIMIT, proxy_resources, workers
from injector.inject.settings import resolve
from tests.inject.objects import annotated, container, init_of, injected, pod, proxy_of, told
from tests.inject.strategies import pods

DEFAULT_REQUESTS = {"cpu": "10m", "memory": "16Mi"}
BOTH = {"cpu": "2", "memory": "1Gi"}


def limited(name: str = "web", **resources: Any) -> Json:
    return container(name, resources=resources)


def given_to(*containers: Json, annotations: dict[str, str] | None = None, **spec: Any) -> Json:
    """The proxy's resources in a pod of these containers."""
    patched = injected(pod(*containers, annotations=annotations, **spec))
    assert init_of(patched)["resources"] == proxy_of(patched)["resources"]
    resources: Json = proxy_of(patched)["resources"]
    return resources


@pytest.mark.parametrize("resources", [None, {}, {"limits": None}, {"limits": {}, "requests": {"cpu": "1"}}])
def test_a_pod_without_limits_gets_requests_and_no_limit(resources: Json | None) -> None:
    assert given_to(container(resources=resources)) == {"requests": DEFAULT_REQUESTS}


def test_one_container_without_limits_is_enough_for_no_limit() -> None:
    assert given_to(limited(limits=BOTH), container("other")) == {"requests": DEFAULT_REQUESTS}
    assert given_to(limited(limits=BOTH), initContainers=[container("wait")]) == {"requests": DEFAULT_REQUESTS}


def test_where_all_have_limits_the_proxy_has_some_so_that_a_quota_on_limits_admits_the_pod() -> None:
    burstable = limited(limits=BOTH, requests={"cpu": "1"})
    assert given_to(burstable) == {"limits": IMPLIED_LIMIT, "requests": DEFAULT_REQUESTS}


def test_a_limit_on_one_resource_is_about_that_resource() -> None:
    assert given_to(limited(limits={"memory": "1Gi"})) == {"limits": {"memory": "256Mi"}, "requests": DEFAULT_REQUESTS}


@pytest.mark.parametrize(
    ("own", "implied"),
    [
        ({"cpu": "250m", "memory": "128Mi"}, {"cpu": "250m", "memory": "128Mi"}),
        ({"cpu": "10m", "memory": "8Mi"}, GUARANTEED_LIMIT),
        ({"cpu": "64", "memory": "64Gi"}, IMPLIED_LIMIT),
        ({"cpu": 0.5, "memory": 134217728}, {"cpu": "0.5", "memory": "134217728"}),
        ({"cpu": "much", "memory": "-1"}, GUARANTEED_LIMIT),  # the API server will say what it thinks of that
    ],
)
def test_no_limit_is_implied_above_the_pods_largest_so_that_a_limit_range_admits_the_proxy(
    own: Json, implied: Json
) -> None:
    small = limited("small", limits={"cpu": "1m", "memory": "1Mi"}, requests={"cpu": "0"})
    assert given_to(limited(limits=own), small)["limits"] == implied


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": BOTH, "requests": BOTH},
        {"limits": BOTH},  # requests not given are the limits
        {"limits": BOTH, "requests": {"cpu": "2000m", "memory": "1024Mi"}},
        {"limits": BOTH, "requests": {"cpu": 2}},
    ],
)
def test_a_guaranteed_pod_stays_guaranteed(resources: Json) -> None:
    assert given_to(limited(**resources)) == {"limits": GUARANTEED_LIMIT, "requests": GUARANTEED_LIMIT}


def test_a_guaranteed_pod_stays_guaranteed_whatever_its_annotations_say() -> None:
    guaranteed = limited(limits=BOTH)
    assert given_to(guaranteed, annotations=annotated(proxy_cpu_request="50m", proxy_cpu_limit="1")) == {
        "limits": {"cpu": "1", "memory": "64Mi"},
        "requests": {"cpu": "1", "memory": "64Mi"},
    }
    assert given_to(guaranteed, annotations=annotated(proxy_memory_request="1Gi"))["limits"]["memory"] == "1Gi"
    assert given_to(guaranteed, annotations=annotated(proxy_cpu_request="", proxy_memory_request="")) == {
        "limits": GUARANTEED_LIMIT,
        "requests": GUARANTEED_LIMIT,
    }


def test_annotations_are_taken_as_written() -> None:
    words = annotated(
        proxy_cpu_request="0.1", proxy_cpu_limit="1500m", proxy_memory_request="", proxy_memory_limit="1e8"
    )
    assert given_to(container(), annotations=words) == {
        "limits": {"cpu": "1500m", "memory": "1e8"},
        "requests": {"cpu": "0.1"},
    }


def test_nothing_is_asked_for_where_the_annotations_say_so() -> None:
    assert given_to(container(), annotations=annotated(proxy_cpu_request="", proxy_memory_request="")) == {}


def test_a_request_above_the_implied_limit_raises_it() -> None:
    words = annotated(proxy_cpu_request="3", proxy_memory_request="1Gi")
    assert given_to(limited(limits=BOTH, requests={"cpu": "1"}), annotations=words)["limits"] == {
        "cpu": "3",
        "memory": "1Gi",
    }


class TestPodLevelResources:
    def test_defaults_of_ours_do_not_eat_into_what_the_pod_declares_as_a_whole(self) -> None:
        assert given_to(container(), resources={"limits": BOTH}) == {}
        assert given_to(container(), resources={"requests": {"cpu": "1"}}) == {"requests": {"memory": "16Mi"}}

    def test_what_somebody_chose_is_still_given(self) -> None:
        words = annotated(proxy_cpu_request="20m", proxy_memory_limit="64Mi")
        assert given_to(container(), resources={"limits": BOTH}, annotations=words) == {
            "limits": {"memory": "64Mi"},
            "requests": {"cpu": "20m"},
        }

    @pytest.mark.parametrize("whole", [None, {}, {"limits": None, "requests": {}}])
    def test_nothing_declared_is_nothing(self, whole: Json | None) -> None:
        assert given_to(container(), resources=whole) == {"requests": DEFAULT_REQUESTS}


@pytest.mark.parametrize(
    ("limit", "threads"),
    [("", "1"), ("10m", "1"), ("1", "1"), ("1.001", "2"), ("2", "2"), ("2500m", "3"), ("64", "64")],
)
def test_one_worker_a_core_of_the_limit(limit: str, threads: str) -> None:
    assert told(injected(pod(annotations=annotated(proxy_cpu_limit=limit))), "INJECTOR_WORKERS") == threads


def test_no_limit_is_one_worker() -> None:
    assert workers({}) == workers({"limits": {"memory": "1Gi"}}) == 1


def quality_of_service(spec: Json) -> str:
    """The class of a pod as Kubernetes computes it (pkg/apis/core/v1/helper/qos, ComputePodQOS)."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    mentioned, equal = False, True
    for each in containers:
        limits = (each.get("resources") or {}).get("limits") or {}
        requests = {**limits, **((each.get("resources") or {}).get("requests") or {})}
        mentioned = mentioned or bool(requests)
        for resource in ("cpu", "memory"):
            equal = equal and resource in limits and quantity.equal(limits[resource], requests[resource])
    return "Guaranteed" if equal else "Burstable" if mentioned else "BestEffort"


@given(pods())
def test_no_pod_falls_from_its_class(subject: Json) -> None:
    before, after = (quality_of_service(it["spec"]) for it in (subject, injected(subject)))
    assert after == ("Burstable" if before == "BestEffort" else before)


@given(pods())
def test_a_quota_on_limits_that_admitted_the_pod_admits_it_with_its_proxy(subject: Json) -> None:
    own = [*(subject["spec"].get("initContainers") or ()), *subject["spec"]["containers"]]
    resources = proxy_resources(subject["spec"], resolve({}, {}, {}).settings)
    for resource in ("cpu", "memory"):
        all_limited = all(resource in ((it.get("resources") or {}).get("limits") or {}) for it in own)
        assert (resource in resources.get("limits", {})) == all_limited
        if all_limited:
            limit, request = (quantity.parse(resources[part][resource]) for part in ("limits", "requests"))
            assert request <= limit
