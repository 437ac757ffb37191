"""A webhook served in this process: real sockets, real TLS, a directory that needs no cluster."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from injector.inject.installation import Installation
from injector.inject.model import Namespace, Workload
from injector.pace import TokenBucket
from injector.pki import Pair, issue, make_authority
from injector.runtime.limits import REVIEWS, Limits
from injector.runtime.listener import Listener, bind
from injector.runtime.turns import Turns
from injector.webhook import app
from injector.webhook.certificate import KeyPair, load
from injector.webhook.directory import Unavailable
from injector.webhook.handler import Handler, Missing, NamespaceKey, OwnerKey
from injector.webhook.metrics import WebhookMetrics

if TYPE_CHECKING:
    from injector.runtime.gate import Reason

NAME = "injector-webhook.injector-system.svc"
INSTALLATION = Installation(proxy_image="registry.example/injector/proxy:1.0.0")


@dataclass
class FakeDirectory:
    """Knows what it was told; `fetchable` becomes known when fetched."""

    known: dict[NamespaceKey | OwnerKey, Namespace | Workload | None] = field(default_factory=dict)
    fetchable: dict[NamespaceKey | OwnerKey, Namespace | Workload | None] = field(default_factory=dict)
    fetched: list[NamespaceKey | OwnerKey] = field(default_factory=list)
    delay: float = 0.0

    def namespace(self, key: NamespaceKey) -> Namespace:
        found = self._look(key)
        assert isinstance(found, Namespace)
        return found

    def workload(self, key: OwnerKey) -> Workload | None:
        found = self._look(key)
        assert not isinstance(found, Namespace)
        return found

    def _look(self, key: NamespaceKey | OwnerKey) -> Namespace | Workload | None:
        if key not in self.known:
            raise Missing(key)
        return self.known[key]

    async def fetch(self, key: NamespaceKey | OwnerKey, source: str) -> None:
        self.fetched.append(key)
        await asyncio.sleep(self.delay)
        if key not in self.fetchable:
            raise Unavailable(f"{key}: no answer in time")
        self.known[key] = self.fetchable[key]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A raw HTTPS client, which can misbehave."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        await self.send_head(path, len(body), **headers)
        self.writer.write(body)
        await self.writer.drain()
        return await self.answer()

    async def send_head(self, path: str, length: int, method: str = "POST", **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: webhook", f"Content-Length: {length}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def answer(self) -> Answer:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await asyncio.wait_for(self.reader.readexactly(int(headers.get("content-length", "0"))), 10)
        return Answer(int(status.split()[1]), headers, body)

    async def closed(self, within: float = 5.0) -> bool:
        """Whether the server closes in time."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), within):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


@dataclass
class Webhook:
    """The served webhook, as a test sees it."""

    listener: Listener
    handler: Handler
    directory: FakeDirectory
    registry: CollectorRegistry
    trust: ssl.SSLContext
    refused: Counter[Reason]

    @asynccontextmanager
    async def client(self, source: str = "127.0.0.1") -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.listener.port,
            ssl=self.trust,
            server_hostname=NAME,
            local_addr=(source, 0),
            ssl_shutdown_timeout=0.2,
        )
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of production: its TLS and its transports are its own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority() -> Pair:
    return make_authority(datetime.now(UTC), timedelta(days=30))


@pytest.fixture(scope="session")
def serving(authority: Pair) -> Pair:
    return issue(authority, [NAME], datetime.now(UTC), timedelta(days=1))


Serve = Callable[..., Awaitable[Webhook]]


@pytest.fixture
async def serve(authority: Pair, serving: Pair) -> AsyncIterator[Serve]:
    """Start a webhook; keyword arguments change its limits."""
    started: list[Listener] = []

    async def start(*, installation: Installation = INSTALLATION, **limits: Any) -> Webhook:
        directory = FakeDirectory({NamespaceKey("shop"): Namespace("shop")})
        handler = Handler(installation, directory)
        registry = CollectorRegistry()
        metrics = WebhookMetrics(registry)
        refused: Counter[Reason] = Counter()
        context = load(KeyPair(serving.certificate.pem, serving.key)).context
        built = app.build(handler, directory.fetch, Turns(), metrics, TokenBucket(1, 1))
        granted: Limits = replace(REVIEWS, **limits)

        def refuse(reason: Reason) -> None:
            refused[reason] += 1
            metrics.refused(reason)

        listener = Listener(bind("127.0.0.1", 0), built, granted, tls=lambda: context, refused=refuse)
        listener.start()
        started.append(listener)
        trust = ssl.create_default_context(cadata=authority.certificate.pem.decode())
        return Webhook(listener, handler, directory, registry, trust, refused)

    yield start
    for listener in started:
        await listener.close(1.0)


@pytest.fixture
async def webhook(serve: Serve) -> Webhook:
    return await serve()
