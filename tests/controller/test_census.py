"""Who is in the mesh: which namespaces need the roots, and which pods a rotation waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jsonpatch import apply_patch

from injector.controller.census import Census, Member, member_of
from injector.inject.installation import Installation
from injector.inject.model import Namespace
from injector.inject.names import INJECT
from injector.inject.review import Injected, review_pod

INSTALLATION = Installation(proxy_image="registry.example/proxy:1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING = {"initContainerStatuses": [{"name": "injector-proxy", "state": {"running": {}}}]}


def injected(**status: Any) -> dict[str, Any]:
    plain = {"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "web", "image": "web"}]}, "status": status}
    review = review_pod(plain, Namespace("shop"), INSTALLATION, opted_in=True)
    assert isinstance(review, Injected)
    patched: dict[str, Any] = apply_patch(plain, review.operations)
    return patched


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RUNNING | {"phase": "Pending"}, Member("u", running=True)),
        ({"phase": "Pending"}, Member("u", running=False)),
        ({"initContainerStatuses": [{"name": "injector-proxy", "state": {"waiting": {}}}]}, Member("u", running=False)),
        ({"initContainerStatuses": [{"name": "injector-init", "state": {"running": {}}}]}, Member("u", running=False)),
        (RUNNING | {"phase": "Succeeded"}, None),
        (RUNNING | {"phase": "Failed"}, None),
    ],
)
def test_a_member_runs_while_its_proxy_does(status: dict[str, Any], expected: Member | None) -> None:
    assert member_of(injected(**status)) == expected


def test_pods_without_a_proxy_or_with_one_from_before_identities_are_no_members() -> None:
    assert member_of({"metadata": {"uid": "u"}, "spec": {"containers": []}}) is None
    old = injected(**RUNNING)
    for container in old["spec"]["initContainers"]:
        container["env"] = [entry for entry in container.get("env", ()) if "POLICY" not in entry["name"]]
    assert member_of(old) is None


def test_a_pod_that_is_being_deleted_counts_until_its_grace_is_over() -> None:
    pod = injected(**RUNNING)
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:30Z"
    census = Census()
    census.put_pod(("shop", "web"), member_of(pod))
    assert census.running(NOW) == {"u": "shop/web"}
    assert census.running(NOW + timedelta(seconds=30)) == {}


def test_a_namespace_needs_the_roots_by_its_word_or_by_its_pods() -> None:
    told: list[str] = []
    census = Census()
    census.listeners.append(told.append)
    for name, own in (("shop", {INJECT: "enabled"}), ("plain", {}), ("injector-system", {INJECT: "enabled"})):
        census.put_namespace(name, Namespace(name, annotations=own))
    assert census.needing() == ["shop"]
    census.put_pod(("plain", "a"), Member("a", running=False))
    census.put_pod(("plain", "b"), Member("b", running=True))
    assert sorted(census.needing()) == ["plain", "shop"]
    told.clear()
    census.put_pod(("plain", "b"), Member("b", running=False))
    assert told == [], "nothing about the namespace has changed"
    census.put_pod(("plain", "a"), None)
    assert census.needs("plain")
    census.put_pod(("plain", "b"), None)
    census.put_pod(("plain", "b"), None)
    assert not census.needs("plain")
    census.put_namespace("shop", None)
    assert census.needing() == []
    assert told == ["plain", "plain", "shop"]


def test_pods_of_a_namespace_that_is_gone_need_nothing() -> None:
    census = Census()
    census.put_pod(("gone", "a"), Member("a", running=True))
    assert not census.needs("gone")
