"""The mesh's facts as the cluster's objects change."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from injector.controller.trust import facts as facts_module
from injector.controller.trust.facts import Facts
from injector.inject.installation import Installation
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi

SERVICES = "/api/v1/namespaces/injector-system/services"
RANGES = "/apis/networking.k8s.io/v1/servicecidrs"


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


@pytest.fixture
async def start(
    kube: KubeClient, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., None]]:
    monkeypatch.setattr(facts_module, "GATHER_SECONDS", 0.05)
    monkeypatch.setattr(facts_module, "SERVICE_RANGES_SECONDS", 0.1)
    tasks = []

    def run(**settings: Any) -> None:
        installation = Installation(proxy_image="p", **settings)
        facts = Facts(kube, "injector-system", installation, lambda text: told.append(json.loads(text)))
        tasks.append(asyncio.create_task(facts.run()))

    yield run
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def services(api: FakeApi) -> None:
    api.put(f"{SERVICES}/injector-identity", {"spec": {"clusterIPs": ["10.96.3.4", "fd00:96::4"]}})
    api.put(f"{SERVICES}/injector-discovery", {"spec": {"clusterIPs": ["10.96.3.5"]}})


async def test_addresses_and_ranges_follow_the_cluster(
    start: Callable[..., None], api: FakeApi, told: list[dict[str, Any]]
) -> None:
    api.put("/api/v1/nodes/one", {"spec": {"podCIDRs": ["10.244.0.0/24"]}})
    start(trust_domain="example.org")
    await asyncio.sleep(0.2)
    assert told == [], "not before both Services have addresses"
    services(api)
    await until(lambda: told)
    assert told[-1]["identity"] == ["10.96.3.4:8443", "[fd00:96::4]:8443"]
    assert told[-1]["trustDomain"] == "example.org"
    assert told[-1]["networks"] == ["10.96.0.0/16", "10.244.0.0/24", "fd00:96::/112"]
    api.put("/api/v1/nodes/two", {"spec": {"podCIDRs": ["10.244.1.0/24"]}})
    api.put(f"{RANGES}/kubernetes", {"spec": {"cidrs": ["10.96.0.0/12", "fd00:96::/108"]}})
    await until(lambda: told[-1]["networks"] == ["10.96.0.0/12", "10.244.0.0/23", "fd00:96::/108"])


async def test_given_networks_are_taken_as_they_are(
    start: Callable[..., None], api: FakeApi, told: list[dict[str, Any]]
) -> None:
    services(api)
    start(networks=("10.0.0.0/8",))
    await until(lambda: told)
    assert told[-1]["networks"] == ["10.0.0.0/8"]
    assert not api.requests("GET", "/api/v1/nodes")


async def test_a_cluster_without_the_kind_is_no_fault(
    start: Callable[..., None], api: FakeApi, told: list[dict[str, Any]]
) -> None:
    services(api)
    answers = iter([404, 500])
    api.intercept = lambda seen: status(next(answers, 404), "Other") if seen.path == RANGES else None
    start()
    await until(lambda: len(api.requests("GET", RANGES)) >= 3)
    assert told[-1]["networks"] == ["10.96.0.0/16", "fd00:96::/112"]
