"""What the webhook knows of the cluster: watched, read once when missing, an error when it cannot be learned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from injector.inject.model import Workload
from injector.webhook import directory as directory_module
from injector.webhook.directory import ClusterDirectory, Unavailable
from injector.webhook.handler import Missing, NamespaceKey, OwnerKey
from tests.kube.fake import FakeApi, serving, status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHOP = "/api/v1/namespaces/shop"
WEB = "/apis/apps/v1/namespaces/shop/replicasets/web-1"
OWNED = {
    "metadata": {
        "uid": "rs",
        "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True, "uid": "d"}],
    }
}
KEY = OwnerKey("ReplicaSet", "shop", "web-1", "rs")


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def unwatched(api: FakeApi, tmp_path: Path) -> AsyncIterator[ClusterDirectory]:
    async with serving(api, tmp_path) as kube:
        yield ClusterDirectory(kube)


@pytest.fixture
async def directory(unwatched: ClusterDirectory, api: FakeApi) -> AsyncIterator[ClusterDirectory]:
    api.put(
        SHOP, {"metadata": {"annotations": {"injector.mesh/log-level": "debug", "other": "x"}, "labels": {"a": "b"}}}
    )
    api.put(WEB, OWNED)
    tasks = [asyncio.create_task(informer.run()) for informer in unwatched.informers.values()]
    await until(lambda: all(informer.synced for informer in unwatched.informers.values()))
    yield unwatched
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_watched_is_known(directory: ClusterDirectory) -> None:
    namespace = directory.namespace(NamespaceKey("shop"))
    assert namespace.labels == {"a": "b"}
    assert namespace.annotations == {"injector.mesh/log-level": "debug"}, "others' annotations are not kept"
    assert directory.workload(KEY) == Workload("Deployment", "web")


async def test_a_change_is_followed(directory: ClusterDirectory, api: FakeApi) -> None:
    api.put(SHOP, {"metadata": {"annotations": {"injector.mesh/log-level": "warn"}}})
    await until(lambda: directory.namespace(NamespaceKey("shop")).annotations == {"injector.mesh/log-level": "warn"})


async def test_a_job_belongs_to_its_cron_job(directory: ClusterDirectory, api: FakeApi) -> None:
    owner = {"kind": "CronJob", "name": "nightly", "controller": True, "uid": "c"}
    api.put("/apis/batch/v1/namespaces/shop/jobs/j", {"metadata": {"uid": "job", "ownerReferences": [owner]}})
    key = OwnerKey("Job", "shop", "j", "job")
    await directory.fetch(key, "a")
    assert directory.workload(key) == Workload("CronJob", "nightly")


async def test_an_owner_of_another_uid_is_asked_for_and_worth_only_itself(directory: ClusterDirectory) -> None:
    forged = OwnerKey("ReplicaSet", "shop", "web-1", "forged")
    with pytest.raises(Missing):
        directory.workload(forged)
    await directory.fetch(forged, "a")
    assert directory.workload(forged) is None


async def test_an_owner_that_does_not_exist_is_worth_only_itself(directory: ClusterDirectory) -> None:
    key = OwnerKey("Job", "shop", "none", "u")
    await directory.fetch(key, "a")
    assert directory.workload(key) is None


async def test_many_who_miss_the_same_ask_once(unwatched: ClusterDirectory, api: FakeApi) -> None:
    api.put(SHOP, {})
    api.delay = 0.1
    key = NamespaceKey("shop")
    await asyncio.gather(*(unwatched.fetch(key, f"source-{index}") for index in range(20)))
    assert unwatched.namespace(key).name == "shop"
    assert len(api.requests("GET", SHOP)) == 1


async def test_one_reader_who_goes_away_does_not_fail_the_others(unwatched: ClusterDirectory, api: FakeApi) -> None:
    api.put(SHOP, {})
    api.delay = 0.2
    key = NamespaceKey("shop")
    first = asyncio.create_task(unwatched.fetch(key, "a"))
    second = asyncio.create_task(unwatched.fetch(key, "b"))
    await asyncio.sleep(0.05)
    first.cancel()
    await second
    assert unwatched.namespace(key).name == "shop"


@pytest.mark.parametrize("code", [404, 403, 500])
async def test_a_namespace_that_cannot_be_read_is_unavailable(
    unwatched: ClusterDirectory, api: FakeApi, code: int
) -> None:
    api.intercept = lambda _: status(code, "Reason")
    with pytest.raises(Unavailable, match=str(code)):
        await unwatched.fetch(NamespaceKey("shop"), "a")


async def test_reading_is_bounded_in_time(
    unwatched: ClusterDirectory, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "READ_SECONDS", 0.2)
    api.delay = 3.0
    async with asyncio.timeout(1.0):
        with pytest.raises(Unavailable, match="no answer in time"):
            await unwatched.fetch(NamespaceKey("shop"), "a")


async def test_a_source_that_makes_names_up_is_held_back_and_others_are_not(
    unwatched: ClusterDirectory, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "READS_BURST", 5.0)
    api.put(SHOP, {})
    results = await asyncio.gather(
        *(unwatched.fetch(OwnerKey("Job", "shop", f"j{index}", "u"), "hostile") for index in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Unavailable) for result in results) >= 14
    await unwatched.fetch(NamespaceKey("shop"), "honest")


async def test_what_was_read_is_forgotten_when_the_watch_has_caught_up(
    unwatched: ClusterDirectory, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "REMEMBERED_SECONDS", 0.05)
    api.put(SHOP, {})
    key = NamespaceKey("shop")
    await unwatched.fetch(key, "a")
    await asyncio.sleep(0.1)
    with pytest.raises(Missing):
        unwatched.namespace(key)
    for index in range(50):
        await unwatched.fetch(OwnerKey("Job", "shop", f"j{index}", "u"), f"s{index}")
    await asyncio.sleep(0.1)
    await unwatched.fetch(key, "a")
    assert len(unwatched._read) == 1
