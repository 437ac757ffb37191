"""The finder: every opted-in pod without a proxy is told of, once, and forgotten when it goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from jsonpatch import apply_patch
from prometheus_client import CollectorRegistry

from injector.controller import finder as finder_module
from injector.controller.census import Census
from injector.controller.finder import Finder
from injector.controller.metrics import ControllerMetrics
from injector.inject.installation import Installation
from injector.inject.model import Namespace
from injector.inject.review import Injected, review_pod
from injector.kube.events import EventRecorder
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi

INSTALLATION = Installation(proxy_image="registry.example/proxy:1")
INJECT = "injector.mesh/inject"
OPTED_IN = {"metadata": {"annotations": {INJECT: "enabled"}, "labels": {INJECT: "enabled"}}}


def pod(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "web", "image": "web"}]
    return {"metadata": {}, "spec": {"containers": containers} | spec, "status": {"phase": "Running"}}


def injected() -> dict[str, Any]:
    review = review_pod(pod(), Namespace("shop"), INSTALLATION, opted_in=True)
    assert isinstance(review, Injected)
    patched: dict[str, Any] = apply_patch(pod(), review.operations)
    return patched


def path(name: str, namespace: str = "shop") -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def told(api: FakeApi) -> set[str]:
    events = [item for where, item in api.objects.items() if "/events/" in where]
    assert all(event["reason"] == "InjectorNotInjected" for event in events)
    return {event["involvedObject"]["name"] for event in events}


class Found:
    """What the gauge says."""

    def __init__(self) -> None:
        self.metrics = ControllerMetrics(CollectorRegistry())
        self.census = Census()

    def __call__(self, reason: str = "not-injected") -> float:
        value: float = self.metrics.unmeshed.labels(reason)._value.get()
        return value


@pytest.fixture
async def found(kube: KubeClient, api: FakeApi) -> AsyncIterator[Found]:
    api.put("/api/v1/namespaces/shop", OPTED_IN)
    api.put("/api/v1/namespaces/plain", {})
    api.put(path("before"), pod())
    api.put(path("meshed"), injected())
    api.put(path("plain", "plain"), pod())
    made = Found()
    recorder = EventRecorder(kube, component="injector-controller", instance="me")
    tasks = [
        asyncio.create_task(recorder.run()),
        asyncio.create_task(Finder(kube, INSTALLATION, recorder, made.metrics, made.census).run()),
    ]
    await until(lambda: told(api))
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_was_there_before_is_found(found: Found, api: FakeApi) -> None:
    await asyncio.sleep(0.1)
    assert told(api) == {"before"}
    assert found() == 1


async def test_a_pod_that_slips_by_is_found_and_forgotten_when_it_goes(found: Found, api: FakeApi) -> None:
    api.put(path("slipped"), pod())
    await until(lambda: told(api) == {"before", "slipped"} and found() == 2, seconds=1)
    api.remove(path("slipped"))
    api.put(path("before"), pod() | {"status": {"phase": "Succeeded"}})
    await until(lambda: found() == 0, seconds=1)


async def test_a_change_that_changes_nothing_is_not_told_again(found: Found, api: FakeApi) -> None:
    for number in range(5):
        api.put(path("before"), pod() | {"status": {"phase": "Running", "podIP": f"10.0.0.{number}"}})
    await asyncio.sleep(0.2)
    (event,) = [item for where, item in api.objects.items() if "/events/" in where]
    assert (event["count"], found()) == (1, 1)


async def test_opting_a_namespace_in_judges_its_pods_anew(found: Found, api: FakeApi) -> None:
    api.put("/api/v1/namespaces/plain", OPTED_IN)
    await until(lambda: "plain" in told(api) and found() == 2, seconds=1)
    api.put("/api/v1/namespaces/plain", {})
    await until(lambda: found() == 1, seconds=1)


async def test_a_pod_that_asks_for_itself_is_found_anywhere(found: Found, api: FakeApi) -> None:
    asking = pod()
    asking["metadata"] = {"annotations": {INJECT: "enabled"}}
    api.put(path("asking", "plain"), asking)
    await until(lambda: "asking" in told(api) and found() == 2, seconds=1)


async def test_a_pod_that_would_be_refused_is_found_too(found: Found, api: FakeApi) -> None:
    api.put(path("collides"), pod(securityContext={"runAsUser": 2102}))
    await until(lambda: found("refused") == 1 and "collides" in told(api), seconds=1)


@pytest.mark.parametrize(
    "spec", [{"hostNetwork": True}, {"nodeSelector": {"kubernetes.io/os": "windows"}}], ids=["host", "windows"]
)
async def test_a_pod_that_is_skipped_for_a_reason_is_not_amiss(
    found: Found, api: FakeApi, spec: dict[str, Any]
) -> None:
    api.put(path("skipped"), pod(**spec))
    await asyncio.sleep(0.2)
    assert found() == 1


async def test_a_listing_that_fails_is_tried_again(found: Found, api: FakeApi) -> None:
    failures = iter([500, 503])

    def intercept(seen: Any) -> Any:
        listing = seen.path == "/api/v1/namespaces/plain/pods"
        return status(code, "Other") if listing and (code := next(failures, None)) else None

    api.intercept = intercept
    api.put("/api/v1/namespaces/plain", OPTED_IN)
    await until(lambda: found() == 2)


async def test_a_pod_that_changed_since_it_was_listed_is_left_to_the_watch(
    kube: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.put("/api/v1/namespaces/shop", OPTED_IN)
    api.put(path("web"), pod())
    finder = Finder(kube, INSTALLATION, EventRecorder(kube, component="c", instance="me"), Found().metrics, Census())
    finder._namespaces.items["", "shop"] = Namespace("shop", {INJECT: "enabled"}, {})
    newer = api.objects[path("web")] | {"metadata": {"name": "web", "namespace": "shop", "uid": "1"}}
    newer["metadata"]["resourceVersion"] = "999"
    finder._pods.put(("shop", "web"), finder._judge(newer | {"spec": injected()["spec"]}))
    await finder._judge_all_of("shop")
    assert finder._pods.items["shop", "web"].amiss is None


async def test_what_stays_amiss_is_said_again_before_its_event_expires(
    kube: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder_module, "REMIND_SECONDS", 0.2)
    api.put("/api/v1/namespaces/shop", OPTED_IN)
    api.put(path("web"), pod())
    recorder = EventRecorder(kube, component="c", instance="me")
    tasks = [
        asyncio.create_task(recorder.run()),
        asyncio.create_task(Finder(kube, INSTALLATION, recorder, Found().metrics, Census()).run()),
    ]
    await until(lambda: any(item.get("count", 0) >= 2 for item in api.objects.values()))
    for task in tasks:
        task.cancel()
