"""The one Kubernetes client: raw JSON over the connection, credentials and TLS settings of `kubernetes.aio`.

The generated models are left out on purpose: they drop fields they do not know, and cost more than all our own work.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import orjson

from injector.kube.errors import Unconfigured, Unreachable, from_response, from_status
from injector.kube.lines import LineSplitter, LineTooLong

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from injector.kube.resources import Resource

Object = dict[str, Any]

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

DEFAULT_TIMEOUT_SECONDS = 10.0
# A list page of this many pods is some 5 MB of JSON: quick to fetch, and the most that is decoded at once.
PAGE_SIZE = 250
# The API server ends a watch after this long (spread, so that all watches of all replicas do not end together).
WATCH_SECONDS = (240, 300)
# Silence cannot be told from a peer that vanished: bookmarks come about once a minute, but not where nothing of a kind
# ever changes. Asking again from the last resourceVersion costs next to nothing.
WATCH_SILENCE_SECONDS = 75.0

_METADATA = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"


def _accept(*, metadata_only: bool, as_list: bool) -> str:
    return _METADATA.format(list="List" if as_list else "") if metadata_only else "application/json"


class KubeClient:
    """Requests to one API server. Objects are plain decoded JSON, errors are `KubeError`s."""

    def __init__(self, rest: Any, configuration: Any) -> None:
        self._rest = rest
        self._configuration = configuration

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Any:
        """One exchange, bounded by `seconds` from the first packet to the last byte; the decoded answer, or its text
        where `accept` asks for something else than JSON."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            response = await self._send(method, path, params, body, content_type, accept, timeout)
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{method} {path}: no answer from {self._configuration.host}: {_why(error)}") from error
        if response.status >= 400:
            raise from_response(method, path, response.status, data, response.headers.get("Retry-After"))
        if not accept.startswith("application/json"):
            return data.decode("utf-8", "replace")
        try:
            return orjson.loads(data) if data else None
        except orjson.JSONDecodeError as error:
            raise Unreachable(
                f"{method} {path}: expected JSON, got {data[:64]!r}: not an API server's answer"
            ) from error

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: object,
        content_type: str,
        accept: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp enforces it, down to the single read
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "Content-Type": content_type} | await self._identification()
        url = self._configuration.host + path + (f"?{urlencode(params)}" if params else "")
        answer = await self._rest.request(method, url, headers=headers, body=body, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _identification(self) -> dict[str, str]:
        """The headers that say who asks."""
        schemes = (await self._configuration.auth_settings()).values()
        return {"User-Agent": "injector"} | {scheme["key"]: scheme["value"] for scheme in schemes if scheme["value"]}

    @contextlib.asynccontextmanager
    async def websocket(
        self, path: str, *, params: Mapping[str, str], protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A connection that both ends write to, for subresources such as portforward."""
        url = self._configuration.host + path + f"?{urlencode(params)}"
        headers = await self._identification()
        connector = aiohttp.TCPConnector(ssl=self._rest.ssl_context)
        async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
            try:
                async with asyncio.timeout(DEFAULT_TIMEOUT_SECONDS):
                    socket = await session.ws_connect(url, headers=headers, protocols=[protocol])
            except aiohttp.WSServerHandshakeError as error:
                raise from_response("GET", path, error.status, error.message.encode(), None) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unreachable(f"GET {path}: no answer from {self._configuration.host}: {_why(error)}") from error
            async with socket:
                yield socket

    async def get(
        self,
        resource: Resource,
        *,
        name: str,
        namespace: str | None = None,
        metadata_only: bool = False,
        seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Object:
        """One object, or `NotFound`."""
        accept = _accept(metadata_only=metadata_only, as_list=False)
        found: Object = await self.request(
            "GET", resource.path(namespace=namespace, name=name), accept=accept, seconds=seconds
        )
        return found

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        seconds: float = 30.0,
    ) -> AsyncIterator[tuple[list[Object], str]]:
        """The collection in pages of `PAGE_SIZE`, each with the list's resourceVersion, one consistent snapshot."""
        params = {"limit": str(PAGE_SIZE)} | _selectors(label_selector, field_selector)
        accept = _accept(metadata_only=metadata_only, as_list=True)
        while True:
            page = await self.request(
                "GET", resource.path(namespace=namespace), params=params, accept=accept, seconds=seconds
            )
            metadata = page.get("metadata") or {}
            yield page.get("items") or [], metadata.get("resourceVersion", "")
            if not metadata.get("continue"):
                return
            params["continue"] = metadata["continue"]

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[Object]:
        """The objects of the collection, fetched page by page."""
        pages = self.pages(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
        )
        async for items, _ in pages:
            for item in items:
                yield item

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Events (type, object) after `resource_version`, until the server or long silence ends the stream.

        An ERROR event is raised as the `KubeError` it stands for, `Gone` among them.
        """
        duration = random.randint(*WATCH_SECONDS)  # noqa: S311 - spreads load, guards nothing
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(duration),
        } | _selectors(label_selector, field_selector)
        path = resource.path(namespace=namespace)
        accept = _accept(metadata_only=metadata_only, as_list=False)
        timeout = aiohttp.ClientTimeout(
            total=duration + 30, sock_connect=DEFAULT_TIMEOUT_SECONDS, sock_read=WATCH_SILENCE_SECONDS
        )
        try:
            response = await self._send("GET", path, params, None, "application/json", accept, timeout)
            async with contextlib.aclosing(_events(response, path)) as events:
                async for event in events:
                    yield event
        except aiohttp.SocketTimeoutError:
            return
        except (aiohttp.ClientError, TimeoutError, OSError, LineTooLong, orjson.JSONDecodeError) as error:
            raise Unreachable(f"watch {path}: the stream broke: {_why(error)}") from error

    async def create(self, resource: Resource, body: Object, *, namespace: str | None = None) -> Object:
        """A new object as the server stored it, or `AlreadyExists`."""
        made: Object = await self.request("POST", resource.path(namespace=namespace), body=body)
        return made

    async def replace(
        self,
        resource: Resource,
        body: Object,
        *,
        namespace: str | None = None,
        seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Object:
        """The object replaced whole; with metadata.resourceVersion in `body`, only if nobody changed it meanwhile."""
        path = resource.path(namespace=namespace, name=body["metadata"]["name"])
        stored: Object = await self.request("PUT", path, body=body, seconds=seconds)
        return stored

    async def apply(
        self,
        resource: Resource,
        body: Object,
        *,
        field_manager: str,
        namespace: str | None = None,
        force: bool = True,
    ) -> Object:
        """Server-side apply of exactly the fields in `body` (apiVersion and kind are filled in)."""
        path = resource.path(namespace=namespace, name=body["metadata"]["name"])
        params = {"fieldManager": field_manager, "force": "true" if force else "false"}
        whole = {"apiVersion": resource.api_version, "kind": resource.kind} | body
        stored: Object = await self.request("PATCH", path, params=params, body=whole, content_type=APPLY)
        return stored

    async def merge_patch(self, resource: Resource, body: Object, *, name: str, namespace: str | None = None) -> Object:
        """RFC 7386 merge patch: null removes a field, a list replaces the whole list."""
        path = resource.path(namespace=namespace, name=name)
        stored: Object = await self.request("PATCH", path, body=body, content_type=MERGE_PATCH)
        return stored

    async def delete(
        self, resource: Resource, *, name: str, namespace: str | None = None, options: Object | None = None
    ) -> None:
        """Delete one object; `options` is a meta/v1 DeleteOptions (propagationPolicy, preconditions)."""
        await self.request("DELETE", resource.path(namespace=namespace, name=name), body=options)

    async def close(self) -> None:
        """Close every connection."""
        await self._rest.close()


async def _events(response: aiohttp.ClientResponse, path: str) -> AsyncGenerator[tuple[str, Object], None]:
    if response.status >= 400:
        raise from_response("GET", path, response.status, await response.read(), response.headers.get("Retry-After"))
    splitter = LineSplitter()
    try:
        async for chunk in response.content.iter_any():
            for line in splitter.feed(chunk):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise from_status(event["object"], what=f"watch {path}", status=event["object"].get("code") or 500)
                yield event["type"], event["object"]
    finally:
        response.close()


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in chosen.items() if value}


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__


@contextlib.asynccontextmanager
async def connect(*, kubeconfig: Path | None = None, context: str | None = None) -> AsyncIterator[KubeClient]:
    """A client for the named kubeconfig and context; without either, $KUBECONFIG, then the pod's own ServiceAccount,
    then ~/.kube/config. Raises `Unconfigured` when there is nothing usable. Tokens are kept fresh."""
    library = importlib.import_module("kubernetes.aio")  # here: it takes a second that `injector inject` need not pay
    settings = library.client.Configuration()
    settings.retries = None  # who asks decides about retries: it knows whether the answer still matters
    refresh: asyncio.Task[None] | None = None
    try:
        named = kubeconfig is not None or context is not None or bool(os.environ.get("KUBECONFIG"))
        if not named and SERVICE_ACCOUNT_TOKEN.is_file():  # noqa: ASYNC240 - a memory file system, once
            library.config.load_incluster_config(settings)
        else:
            file = str(kubeconfig) if kubeconfig is not None else None
            loader = await library.config.load_kube_config(
                config_file=file, context=context, client_configuration=settings, persist_config=False
            )
            refresh = asyncio.create_task(library.config.refresh_token(loader, settings))
        rest = library.client.ApiClient(configuration=settings).rest_client
    except (library.config.ConfigException, OSError, KeyError, ValueError) as error:
        raise Unconfigured(f"no cluster to talk to: {_why(error)}") from error
    kube = KubeClient(rest, settings)
    try:
        yield kube
    finally:
        if refresh is not None:
            refresh.cancel()
        await kube.close()
