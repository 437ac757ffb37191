"""ConfigMap injector-mesh in namespaces: there at once, put right, taken away, and never a flood."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from injector.controller.census import Census, Member
from injector.controller.metrics import ControllerMetrics
from injector.controller.trust import distribution as distribution_module
from injector.controller.trust.distribution import Distribution
from injector.inject.model import Namespace
from injector.inject.names import INJECT
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi, Seen

OPTED_IN = {INJECT: "enabled"}


def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/injector-mesh"


def writes(api: FakeApi, namespace: str) -> int:
    return len(api.requests("PATCH", path(namespace)))


@pytest.fixture
def census() -> Census:
    made = Census()
    made.put_namespace("shop", Namespace("shop", OPTED_IN))
    made.put_namespace("plain", Namespace("plain"))
    made.put_namespace("kube-system", Namespace("kube-system", OPTED_IN))
    made.synced.set()
    return made


@pytest.fixture
def metrics() -> ControllerMetrics:
    return ControllerMetrics(CollectorRegistry())


@pytest.fixture
async def distribution(
    kube: KubeClient, api: FakeApi, census: Census, metrics: ControllerMetrics
) -> AsyncIterator[Distribution]:
    made = Distribution(kube, census, metrics)
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0.1)
    assert not api.objects, "nothing is written before there is something to say"
    made.publish("the roots")
    made.describe("{}")
    await until(lambda: path("shop") in api.objects)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("distribution")
async def test_it_is_in_the_namespaces_that_need_it(api: FakeApi, census: Census) -> None:
    assert api.objects[path("shop")]["data"] == {"roots.pem": "the roots", "mesh.json": "{}"}
    assert api.objects[path("shop")]["metadata"]["labels"]["injector.mesh/part"] == "trust"
    census.put_pod(("plain", "web"), Member("u", running=False))
    census.put_namespace("late", Namespace("late", annotations=OPTED_IN))
    await until(lambda: path("plain") in api.objects and path("late") in api.objects)
    assert path("kube-system") not in api.objects


@pytest.mark.usefixtures("distribution")
async def test_it_is_put_right_when_changed_or_deleted(api: FakeApi) -> None:
    api.put(path("shop"), {"data": {"roots.pem": "somebody else's"}})
    await until(lambda: api.objects[path("shop")]["data"].get("roots.pem") == "the roots")
    api.remove(path("shop"))
    await until(lambda: path("shop") in api.objects)


@pytest.mark.usefixtures("distribution")
async def test_one_that_cannot_be_changed_is_replaced(api: FakeApi) -> None:
    """An owner of the namespace who makes it immutable would hold up every rotation of the mesh."""

    def immutable(seen: Seen) -> Any:
        frozen = seen.method == "PATCH" and api.objects.get(path("shop"), {}).get("immutable")
        return status(422, "Invalid", "field is immutable when `immutable` is set") if frozen else None

    api.intercept = immutable
    api.put(path("shop"), {"immutable": True, "data": {"roots.pem": "somebody else's"}})
    await until(lambda: api.objects.get(path("shop"), {}).get("data", {}).get("roots.pem") == "the roots")
    assert len(api.requests("DELETE", path("shop"))) == 1


@pytest.mark.usefixtures("distribution")
async def test_it_goes_when_nobody_needs_it(api: FakeApi, census: Census) -> None:
    census.put_pod(("shop", "web"), Member("u", running=True))
    census.put_namespace("shop", Namespace("shop"))
    await asyncio.sleep(0.1)
    assert path("shop") in api.objects, "a pod still reads it"
    census.put_pod(("shop", "web"), None)
    await until(lambda: path("shop") not in api.objects)


@pytest.mark.usefixtures("distribution")
async def test_a_namespace_that_is_going_is_left_alone(api: FakeApi, census: Census) -> None:
    before = len(api.seen)
    census.put_namespace("shop", None)
    api.remove(path("shop"))
    await asyncio.sleep(0.2)
    assert [seen.method for seen in api.seen[before:]] == []


@pytest.mark.usefixtures("distribution")
async def test_one_of_that_name_that_is_not_ours_is_left_where_nobody_needs_ours(api: FakeApi) -> None:
    api.put(path("plain"), {"data": {"theirs": "yes"}})
    await asyncio.sleep(0.1)
    assert api.objects[path("plain")]["data"] == {"theirs": "yes"}


async def test_everywhere_means_everywhere(distribution: Distribution, api: FakeApi, census: Census) -> None:
    await until(lambda: distribution.everywhere("the roots"))
    distribution.publish("other roots")
    assert not distribution.everywhere("other roots")
    await until(lambda: distribution.everywhere("other roots"))
    api.intercept = lambda seen: status(403, "Forbidden") if seen.method == "PATCH" else None
    census.put_namespace("new", Namespace("new", OPTED_IN))
    await until(lambda: writes(api, "new"))
    assert distribution.everywhere("other roots"), "a pod cannot start without it, so none there has old roots"
    distribution.publish("more roots")
    await asyncio.sleep(0.1)
    assert not distribution.everywhere("more roots")


async def test_a_namespace_that_refuses_holds_up_no_other_and_is_tried_again(
    distribution: Distribution, api: FakeApi, census: Census, metrics: ControllerMetrics
) -> None:
    api.intercept = lambda seen: status(403, "Forbidden") if seen.method == "PATCH" and "/going/" in seen.path else None
    census.put_namespace("going", Namespace("going", OPTED_IN))
    census.put_namespace("coming", Namespace("coming", OPTED_IN))
    await until(lambda: path("coming") in api.objects)
    await until(lambda: metrics.trust_failures._value.get() >= 1)
    api.intercept = lambda _: None
    await until(lambda: path("going") in api.objects, seconds=3)
    assert distribution.everywhere("the roots")


async def test_a_thousand_namespaces_are_written_at_a_bounded_rate_and_a_new_one_goes_first(
    distribution: Distribution, api: FakeApi, census: Census, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"n{number}" for number in range(300)]
    for name in names:
        api.put(path(name), {"metadata": {"labels": {"injector.mesh/part": "trust"}}, "data": {}})
    await until(lambda: all((name, "injector-mesh") in distribution._copies.items for name in names))
    for name in names:
        census.put_namespace(name, Namespace(name, OPTED_IN))
    await asyncio.sleep(0.3)
    census.put_namespace("new", Namespace("new", OPTED_IN))
    await until(lambda: path("new") in api.objects)
    done = sum(writes(api, name) for name in names)
    assert done <= distribution_module.WRITES_BURST + 1.5 * distribution_module.WRITES_PER_SECOND
    assert done < len(names)


@pytest.mark.usefixtures("distribution")
async def test_who_fights_over_it_is_not_fought_for_ever(api: FakeApi, metrics: ControllerMetrics) -> None:
    def spoilt() -> dict[str, Any]:
        return {"data": {"roots.pem": "theirs"}}

    for _ in range(60):
        api.put(path("shop"), spoilt())
        await asyncio.sleep(0.02)
    assert writes(api, "shop") <= distribution_module.REPAIRS_BURST + 2
    assert metrics.trust_pending._value.get() <= 1
