"""An API server of the size that tests need: collections with versions, watches, conflicts, and ways to fail."""

from __future__ import annotations

import asyncio
import base64
import copy
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from aiohttp import web

from injector.kube.client import KubeClient, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

Object = dict[str, Any]


@dataclass(eq=False)
class Watch:
    """One open stream."""

    collection: str
    name: str | None
    queue: asyncio.Queue[Object | None] = field(default_factory=asyncio.Queue)


@dataclass
class Seen:
    """One request, as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """By name in lower case."""
    body: Any


class FakeApi:
    """Objects live under their URL path. `intercept` may answer a request in the server's place."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.version = 100
        self.oldest = 0
        self.history: list[tuple[int, str, str, Object]] = []
        self.watches: list[Watch] = []
        self.seen: list[Seen] = []
        self.intercept: Callable[[Seen], web.StreamResponse | None] = lambda _: None
        self.delay = 0.0

    # What a test does to the cluster behind everybody's back.

    def put(self, path: str, item: Object) -> Object:
        """Create or change an object."""
        self.version += 1
        kind = "MODIFIED" if path in self.objects else "ADDED"
        item = copy.deepcopy(item)
        metadata = item.setdefault("metadata", {})
        metadata.setdefault("name", path.rsplit("/", 1)[1])
        metadata.setdefault("uid", f"uid-{path}")
        if "/namespaces/" in path and not path.rsplit("/", 1)[0].endswith("/v1/namespaces"):
            metadata.setdefault("namespace", path.split("/namespaces/")[1].split("/")[0])
        metadata["resourceVersion"] = str(self.version)
        self.objects[path] = item
        self._tell(kind, path, item)
        return item

    def remove(self, path: str) -> None:
        """Delete an object."""
        self.version += 1
        item = self.objects.pop(path)
        item["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", path, item)

    def forget_history(self) -> None:
        """Compact: versions before now are gone."""
        self.oldest = self.version

    def bookmark(self) -> None:
        """Tell every watch how far history is."""
        self.version += 1
        for watch in self.watches:
            watch.queue.put_nowait({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}})

    def drop_watches(self) -> list[Watch]:
        """End every stream; which ones."""
        dropped = list(self.watches)
        for watch in dropped:
            watch.queue.put_nowait(None)
        return dropped

    async def cut_watches(self) -> None:
        """End every stream, and see them end."""
        dropped = self.drop_watches()
        await until(lambda: not any(watch in self.watches for watch in dropped))

    def requests(self, method: str, path: str, **query: str) -> list[Seen]:
        """What was asked so far."""
        return [
            seen
            for seen in self.seen
            if (seen.method, seen.path) == (method, path) and query.items() <= seen.query.items()
        ]

    def _tell(self, kind: str, path: str, item: Object) -> None:
        self.history.append((self.version, kind, path, copy.deepcopy(item)))
        for watch in self.watches:
            if _within(path, watch.collection, watch.name):
                watch.queue.put_nowait({"type": kind, "object": copy.deepcopy(item)})

    # HTTP.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        data = await request.read()
        body = orjson.loads(data) if data else {}
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.path, dict(request.query), headers, body)
        self.seen.append(seen)
        if self.delay:
            await asyncio.sleep(self.delay)
        if (answer := self.intercept(seen)) is not None:
            return answer
        if request.method == "GET":
            return await self._get(request)
        if request.method == "POST":
            return self._create(request.path, body)
        if request.path not in self.objects:
            if request.headers["Content-Type"].startswith("application/apply-patch"):
                return web.json_response(self.put(request.path, body), status=201)
            return status(404, "NotFound")
        if request.method == "PUT":
            return self._replace(request.path, body)
        if request.method == "PATCH":
            return self._patch(request.path, request.headers["Content-Type"], body)
        self.remove(request.path)
        return web.json_response({})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request)
        if request.path in self.objects:
            return web.json_response(self.objects[request.path])
        return self._list(request.path, request.query) if _is_collection(request.path) else status(404, "NotFound")

    def _list(self, path: str, query: Any) -> web.Response:
        items = [item for where, item in sorted(self.objects.items()) if _within(where, path, _name(query))]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 500))
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        return web.json_response({"metadata": metadata, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            return status(410, "Expired")
        watch = Watch(request.path, _name(request.query))
        for version, kind, path, item in self.history:
            if version > since and _within(path, watch.collection, watch.name):
                watch.queue.put_nowait({"type": kind, "object": item})
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches.append(watch)
        try:
            while (event := await watch.queue.get()) is not None:
                await response.write(orjson.dumps(event) + b"\n")
        finally:
            self.watches.remove(watch)
        return response

    def _create(self, collection: str, body: Object) -> web.Response:
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists")
        return web.json_response(self.put(path, body), status=201)

    def _replace(self, path: str, body: Object) -> web.Response:
        known = self.objects[path]["metadata"]
        if body["metadata"].get("resourceVersion", known["resourceVersion"]) != known["resourceVersion"]:
            return status(409, "Conflict")
        body["metadata"]["uid"] = known["uid"]
        return web.json_response(self.put(path, body))

    def _patch(self, path: str, content_type: str, body: Object) -> web.Response:
        merged, body = copy.deepcopy(self.objects[path]), copy.deepcopy(body)
        if content_type.startswith("application/apply-patch"):
            entries = {entry["name"]: entry for entry in merged.get("webhooks", [])}
            for entry in body.pop("webhooks", []):
                entries[entry["name"]]["clientConfig"] |= entry["clientConfig"]
        _merge(merged, body)
        if merged == self.objects[path]:
            return web.json_response(merged)
        return web.json_response(self.put(path, merged))


def status(code: int, reason: str, message: str = "because the test says so") -> web.Response:
    """An API server's error."""
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)


def _merge(target: Object, patch: Object) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif value is None:
            target.pop(key, None)
        else:
            target[key] = value


def _is_collection(path: str) -> bool:
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    return len(rest) == 1 or (len(rest) == 3 and rest[0] == "namespaces")


def _name(query: Any) -> str | None:
    selector = query.get("fieldSelector", "")
    return selector.removeprefix("metadata.name=") if selector.startswith("metadata.name=") else None


def _within(path: str, collection: str, name: str | None) -> bool:
    """Whether an object's path belongs to a collection, be it one namespace's or everybody's."""
    parent, own = path.rsplit("/", 1)
    root, _, plural = collection.rpartition("/")
    everywhere = parent.startswith(f"{root}/namespaces/") and parent.endswith(f"/{plural}")
    return (parent == collection or everywhere) and name in (None, own)


def encoded(**data: bytes) -> dict[str, str]:
    """A Secret's data; `tls_crt` becomes "tls.crt"."""
    return {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}


@asynccontextmanager
async def serving(api: FakeApi, directory: Path) -> AsyncIterator[KubeClient]:
    """Serve `api` on a port of this machine, with a client that is connected to it by a kubeconfig."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "fake", "user": {"token": "a-token"}}],
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            }
        )
    )
    try:
        async with connect(kubeconfig=kubeconfig) as kube:
            yield kube
    finally:
        api.drop_watches()
        await runner.cleanup()


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition to hold."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of any kind
            await asyncio.sleep(0.005)
