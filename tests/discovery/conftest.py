"""Discovery served in this process: real TLS on loopback, a cluster that tests tell objects."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from prometheus_client import CollectorRegistry

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.discovery.board import Board
from injector.discovery.fleet import Fleet
from injector.discovery.following import Parameters
from injector.discovery.metrics import DiscoveryMetrics, Reason
from injector.discovery.server import DiscoveryServer
from injector.discovery.watch import SLICE_SECONDS, Surroundings
from injector.pace import TokenBucket
from injector.runtime.turns import Turns
from tests.discovery.certificates import SERVER_NAME, Leaf, Root, channel_credentials, material
from tests.discovery.test_index import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

ISSUER = bytes(range(32))
OWN = pb.ReportResponse.Proxy(namespace="injector-system", pod="injector-discovery-a")


def address(ip: str, port: int) -> pb.Address:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return pb.Address(ip=socket.inet_pton(family, ip), port=port)


def subscribe(*destinations: pb.Address) -> pb.WatchRequest:
    return pb.WatchRequest(subscribe=pb.Subscribe(destinations=destinations))


def unsubscribe(*destinations: pb.Address) -> pb.WatchRequest:
    return pb.WatchRequest(unsubscribe=pb.Unsubscribe(destinations=destinations))


@dataclass
class Proxy:
    """A client as the proxy is one: it keeps what it was told last of each destination."""

    call: Any
    versions: dict[bytes, int] = field(default_factory=dict)

    async def send(self, request: pb.WatchRequest) -> None:
        await self.call.write(request)

    async def hello(self, namespace: str = "shop", account: str = "web", **more: Any) -> pb.Parameters:
        told = {"pod": f"{account}-a", "pod_uid": f"uid-{account}-a", "node": "node-1"} | more
        await self.send(pb.WatchRequest(hello=pb.Hello(namespace=namespace, service_account=account, **told)))
        response = await self.receive()
        assert response.HasField("parameters"), response
        return response.parameters

    async def receive(self, seconds: float = 5.0) -> pb.WatchResponse:
        async with asyncio.timeout(seconds):
            response = await self.call.read()
        assert response is not aio.EOF, f"the stream ended: {await self.call.code()} {await self.call.details()}"
        assert isinstance(response, pb.WatchResponse)
        return response

    async def destination(self, seconds: float = 5.0) -> pb.Destination:
        response = await self.receive(seconds)
        assert response.HasField("destination"), response
        return response.destination

    async def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes for a while. Ends the stream, for a read cannot be taken back."""
        reading = asyncio.ensure_future(self.call.read())
        done, _ = await asyncio.wait([reading], timeout=seconds)
        self.call.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return not done

    async def end(self, seconds: float = 5.0) -> tuple[grpc.StatusCode, str]:
        """How the stream ended, after whatever was on its way."""
        async with asyncio.timeout(seconds):
            try:
                while await self.call.read() is not aio.EOF:
                    pass
            except aio.AioRpcError:
                pass
            return await self.call.code(), await self.call.details()


@dataclass
class Served:
    """The server, as tests see it."""

    root: Root
    cluster: Cluster
    board: Board
    fleet: Fleet
    server: DiscoveryServer
    registry: CollectorRegistry
    synced: asyncio.Event
    parameters: list[Parameters]
    port: int = 0

    def put(self, *items: dict[str, Any]) -> None:
        """Objects come or change."""
        for item in items:
            self.board.touch(self.cluster.put(item))

    def refusals(self) -> Counter[str]:
        """What was refused so far, by reason."""
        counts = {
            reason.value: self.registry.get_sample_value("injector_discovery_refusals_total", {"reason": reason.value})
            for reason in Reason
        }
        return Counter({reason: int(count) for reason, count in counts.items() if count})

    @asynccontextmanager
    async def channel(self, leaf: Leaf | None) -> AsyncIterator[aio.Channel]:
        credentials = channel_credentials(self.root, leaf)
        options = [
            ("grpc.ssl_target_name_override", SERVER_NAME),
            ("grpc.use_local_subchannel_pool", 1),
            # Take no more from the network than was asked for, so that not reading has its effect.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 65536),
        ]
        async with aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options) as channel:
            yield channel

    @asynccontextmanager
    async def stream(
        self, namespace: str = "shop", account: str = "web", leaf: Leaf | None = None
    ) -> AsyncIterator[Proxy]:
        """A stream that has not said hello."""
        async with self.channel(leaf or self.root.pod(namespace, account)) as channel:
            call: Any = channel.stream_stream(
                methods.WATCH,
                request_serializer=pb.WatchRequest.SerializeToString,
                response_deserializer=pb.WatchResponse.FromString,
            )()
            try:
                yield Proxy(call)
            finally:
                call.cancel()

    @asynccontextmanager
    async def proxy(self, namespace: str = "shop", account: str = "web", **more: Any) -> AsyncIterator[Proxy]:
        """A stream that has."""
        async with self.stream(namespace, account) as proxy:
            await proxy.hello(namespace, account, **more)
            yield proxy

    async def report(self, leaf: Leaf) -> list[pb.ReportResponse.Proxy]:
        async with self.channel(leaf) as channel:
            call: Any = channel.unary_stream(
                methods.REPORT,
                request_serializer=pb.ReportRequest.SerializeToString,
                response_deserializer=pb.ReportResponse.FromString,
            )(pb.ReportRequest())
            parts: Iterable[pb.ReportResponse] = [part async for part in call]
            return [proxy for part in parts for proxy in part.proxies]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    cluster, registry, loop = Cluster(), CollectorRegistry(), asyncio.get_running_loop()
    index = cluster.index
    board = Board(index.resolve, loop.call_soon, loop.time)
    fleet = Fleet(index.meshed_pods, lambda: OWN)
    synced = asyncio.Event()
    synced.set()
    parameters = [Parameters("zone-a", ISSUER, 600)]
    shared = Surroundings(
        board=board,
        fleet=fleet,
        turns=Turns(SLICE_SECONDS),
        metrics=DiscoveryMetrics(registry),
        trust_domain="cluster.local",
        parameters=lambda _: parameters[0],
        synced=synced,
        logged=TokenBucket(100, 100),
    )
    server = DiscoveryServer(shared, "injector-system", "127.0.0.1", 0)
    root = Root()
    whole = Served(root, cluster, board, fleet, server, registry, synced, parameters)
    assert await server.serve(material(root))
    whole.port = server.port
    yield whole
    await server.drain(0)
