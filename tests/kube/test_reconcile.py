"""The loop of whoever keeps objects as they should be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from injector.kube import reconcile as module
from injector.kube.errors import AlreadyExists, Conflict, KubeError
from injector.kube.reconcile import after_step, reconcile, store
from injector.kube.resources import CONFIG_MAPS
from tests.kube.fake import until

if TYPE_CHECKING:
    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_STEP_SECONDS", 0.02)
    monkeypatch.setattr(module, "RETRY_BASE_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_CAP_SECONDS", 0.02)


async def test_steps_follow_each_other_until_nothing_is_due_and_a_change_wakes() -> None:
    steps: list[str] = []
    changed = asyncio.Event()

    async def advance() -> float:
        steps.append("step" if len(steps) < 3 else "look")
        return after_step() if len(steps) < 4 else 3600.0

    running = asyncio.create_task(reconcile(advance, changed))
    try:
        await until(lambda: len(steps) == 4)
        await asyncio.sleep(0.1)
        assert steps == ["step", "step", "step", "look"]
        changed.set()
        await until(lambda: len(steps) == 5)
    finally:
        running.cancel()


async def test_what_fails_is_tried_again_and_what_is_no_fault_of_the_api_server_ends_it() -> None:
    answers: list[Exception] = [Conflict("changed"), KubeError("away"), KubeError("away"), ValueError("our own")]

    async def advance() -> float:
        raise answers.pop(0)

    with pytest.raises(ValueError, match="our own"):
        async with asyncio.timeout(5):
            await reconcile(advance, asyncio.Event())
    assert answers == []


async def test_what_is_stored_replaces_exactly_what_was_observed(kube: KubeClient, api: FakeApi) -> None:
    path = "/api/v1/namespaces/shop/configmaps/one"
    item = {"metadata": {"name": "one"}, "data": {"key": "first"}}
    await store(kube, CONFIG_MAPS, item, "shop")
    with pytest.raises(AlreadyExists):
        await store(kube, CONFIG_MAPS, item, "shop")
    observed = api.objects[path]["metadata"]["resourceVersion"]
    second = {"metadata": {"name": "one", "resourceVersion": observed}, "data": {"key": "second"}}
    await store(kube, CONFIG_MAPS, second, "shop")
    assert api.objects[path]["data"] == {"key": "second"}
    with pytest.raises(Conflict):
        await store(kube, CONFIG_MAPS, second, "shop")
