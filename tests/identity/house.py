"""A whole identity process on this machine, and how a pod asks it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import grpc
import httpx
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.identity.config import IdentityConfig
from injector.identity.serve import serve
from tests.identity.world import Controller, Reviews
from tests.kube.fake import FakeApi, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

T = TypeVar("T")

SERVER_NAME = "injector-identity.injector-system.id.cluster.local"

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each further try, as of somebody patient: a server that is exchanged takes connections with it that it
has only just got, and on a busy machine leaves its port a moment later than it was asked to."""


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is made again when its connection is lost."""
    for pause in PAUSES:
        try:
            return await call()
        except aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
        await asyncio.sleep(pause)
    return await call()


def free_ports() -> tuple[int, int]:
    """Two, both held until both are known: the kernel would give out one of them twice."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])


@dataclass
class House:
    """A running issuer and what surrounds it."""

    api: FakeApi
    controller: Controller
    reviews: Reviews
    config: IdentityConfig
    task: asyncio.Task[None]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.config.port}"

    async def ready(self) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.config.admin_port}/readyz")

    async def metrics(self) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{self.config.admin_port}/metrics")).text

    async def says(self, words: str) -> None:
        """Wait until it says this of its readiness."""
        async with asyncio.timeout(10):
            while True:
                try:
                    if words in (await self.ready()).text:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.02)

    async def wait_ready(self) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    if (await self.ready()).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.02)

    async def certify_patiently(self, token: str, csr: bytes, roots: bytes = b"") -> pb.CertifyResponse:
        """The same while the issuer changes, and with it the server's certificate."""
        return await patiently(lambda: self.certify(token, csr, roots))

    async def certify(self, token: str, csr: bytes, roots: bytes = b"") -> pb.CertifyResponse:
        """Ask as a pod does that trusts these roots, or the controller's."""
        credentials = grpc.ssl_channel_credentials(roots or self.controller.root.certificate.pem)
        options = [("grpc.ssl_target_name_override", SERVER_NAME)]
        async with aio.secure_channel(self.address, credentials, options) as channel:
            call = channel.unary_unary(
                methods.CERTIFY,
                request_serializer=pb.CertifyRequest.SerializeToString,
                response_deserializer=pb.CertifyResponse.FromString,
            )
            answer: pb.CertifyResponse = await call(pb.CertifyRequest(token=token, csr=csr), timeout=10)
            return answer


@asynccontextmanager
async def begin(directory: Path, settings: str = "") -> AsyncIterator[House]:
    """A process that has just started in a cluster where nothing of the mesh is yet; `settings` are lines of the
    installation."""
    installation = directory / "installation.yaml"
    installation.write_text(f"proxyImage: registry.example/proxy:1\n{settings}")
    port, admin_port = free_ports()
    config = IdentityConfig(
        installation=installation,
        host="127.0.0.1",
        port=port,
        admin_port=admin_port,
        kubeconfig=directory / "kubeconfig",
        identity="me",
        certificate_lifetime=timedelta(minutes=10),
        drain_delay_seconds=0,
    )
    api = FakeApi()
    async with serving(api, directory):
        reviews = Reviews(api)
        task = asyncio.create_task(serve(config))
        yield House(api, Controller(api), reviews, config, task)
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 10)
