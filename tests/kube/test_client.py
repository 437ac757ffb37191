"""The client: paths, credentials, pages, errors."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from injector.kube import client as client_module
from injector.kube.client import connect
from injector.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    Unauthorized,
    Unconfigured,
    Unreachable,
)
from injector.kube.resources import DEPLOYMENTS, NAMESPACES, PODS, Resource
from tests.kube.fake import status

if TYPE_CHECKING:
    from pathlib import Path

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi

WEB = "/api/v1/namespaces/shop/pods/web"


@pytest.mark.parametrize(
    ("resource", "where", "path"),
    [
        (PODS, {}, "/api/v1/pods"),
        (PODS, {"namespace": "shop", "name": "web"}, WEB),
        (PODS, {"namespace": "shop", "name": "web", "subresource": "log"}, f"{WEB}/log"),
        (DEPLOYMENTS, {"namespace": "shop"}, "/apis/apps/v1/namespaces/shop/deployments"),
        (NAMESPACES, {"name": "a/../b"}, "/api/v1/namespaces/a%2F..%2Fb"),
    ],
)
def test_paths(resource: Resource, where: dict[str, str], path: str) -> None:
    assert resource.path(**where) == path


def test_a_namespace_where_there_is_none_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not namespaced"):
        NAMESPACES.path(namespace="shop", name="x")


async def test_objects_come_and_go_as_plain_json(kube: KubeClient, api: FakeApi) -> None:
    made = await kube.create(PODS, {"metadata": {"name": "web"}, "unknown": {"field": 1}}, namespace="shop")
    assert made["unknown"] == {"field": 1}
    stored = await kube.replace(PODS, made | {"spec": {}}, namespace="shop")
    with pytest.raises(Conflict):
        await kube.replace(PODS, made, namespace="shop")
    with pytest.raises(AlreadyExists):
        await kube.create(PODS, made, namespace="shop")
    patched = await kube.merge_patch(PODS, {"unknown": None}, namespace="shop", name="web")
    assert "unknown" not in patched
    assert (await kube.get(PODS, namespace="shop", name="web"))["spec"] == stored["spec"]
    await kube.delete(PODS, namespace="shop", name="web")
    with pytest.raises(NotFound, match="GET /api/v1/namespaces/shop/pods/web: the API server answered 404"):
        await kube.get(PODS, namespace="shop", name="web")
    assert api.seen[0].headers["authorization"] == "Bearer a-token"


async def test_lists_are_fetched_in_pages(kube: KubeClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    for index in range(5):
        api.put(f"/api/v1/namespaces/n{index}/pods/p", {})
    names = [pod["metadata"]["namespace"] async for pod in kube.list(PODS, metadata_only=True)]
    assert names == ["n0", "n1", "n2", "n3", "n4"]
    asked = api.requests("GET", "/api/v1/pods")
    assert [seen.query.get("continue") for seen in asked] == [None, "2", "4"]
    assert "as=PartialObjectMetadataList" in asked[0].headers["accept"]


async def test_server_side_apply_names_its_manager(kube: KubeClient, api: FakeApi) -> None:
    api.put("/api/v1/namespaces/shop", {})
    await kube.apply(NAMESPACES, {"metadata": {"name": "shop", "labels": {"a": "b"}}}, field_manager="me")
    (seen,) = api.requests("PATCH", "/api/v1/namespaces/shop", fieldManager="me", force="true")
    assert seen.headers["content-type"] == "application/apply-patch+yaml"
    assert seen.body["kind"] == "Namespace"


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (500, "InternalError", KubeError),
    ],
)
async def test_errors_are_told_apart(
    kube: KubeClient, api: FakeApi, code: int, reason: str, error: type[KubeError]
) -> None:
    api.intercept = lambda _: status(code, reason, "no such luck")
    with pytest.raises(error, match="no such luck") as caught:
        await kube.get(PODS, namespace="shop", name="web")
    assert (type(caught.value), caught.value.status, caught.value.reason) == (error, code, reason)


async def test_an_answer_that_is_no_status_is_quoted(kube: KubeClient, api: FakeApi) -> None:
    api.intercept = lambda _: web.Response(status=502, text="<h1>a proxy's page</h1>", headers={"Retry-After": "7"})
    with pytest.raises(KubeError, match="a proxy's page") as caught:
        await kube.get(PODS, namespace="shop", name="web")
    assert caught.value.retry_after == 7


async def test_no_answer_is_unreachable_and_bounded_in_time(kube: KubeClient, api: FakeApi) -> None:
    api.delay = 5
    async with asyncio.timeout(2):
        with pytest.raises(Unreachable, match="no answer"):
            await kube.get(PODS, namespace="shop", name="web", seconds=0.2)


async def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            f"""{{apiVersion: v1, kind: Config, current-context: x,
            clusters: [{{name: x, cluster: {{server: "http://127.0.0.1:{bound.getsockname()[1]}"}}}}],
            users: [{{name: x, user: {{}}}}], contexts: [{{name: x, context: {{cluster: x, user: x}}}}]}}"""
        )
        async with connect(kubeconfig=kubeconfig) as kube:
            with pytest.raises(Unreachable):
                await kube.get(NAMESPACES, name="shop")


async def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unconfigured, match="no cluster to talk to"):
        async with connect(kubeconfig=tmp_path / "nothing"):
            pass
