"""A connection to a port of a pod by way of the API server: the `portforward` subresource over a WebSocket.

Each message begins with a byte that names its channel: data, or errors in words. The first message of each channel is
the port, which says nothing new where one port was asked for.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import aiohttp

from injector.kube.errors import Unreachable
from injector.kube.resources import PODS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient

PROTOCOL: Final = "v4.channel.k8s.io"
DATA: Final = 0
ERROR: Final = 1


class Forwarded:
    """The connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, what: str) -> None:
        self._socket = socket
        self._what = what
        self._begun: set[int] = set()

    async def send(self, data: bytes) -> None:
        """Bytes to the pod."""
        await self._socket.send_bytes(bytes((DATA,)) + data)

    async def receive(self) -> bytes:
        """The next bytes from the pod, b"" at the end; raises `Unreachable` with the node's words."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, content = message.data[0], message.data[1:]
            if channel not in self._begun:
                self._begun.add(channel)
            elif channel == ERROR:
                raise Unreachable(f"{self._what}: {content.decode('utf-8', 'replace').strip()}")
            elif content:
                return bytes(content)
        return b""


@contextlib.asynccontextmanager
async def forwarded(kube: KubeClient, *, namespace: str, pod: str, port: int) -> AsyncIterator[Forwarded]:
    """A connection to the port, from inside the pod's own network."""
    path = PODS.path(namespace=namespace, name=pod, subresource="portforward")
    async with kube.websocket(path, params={"ports": str(port)}, protocol=PROTOCOL) as socket:
        yield Forwarded(socket, f"port {port} of pod {namespace}/{pod}")
