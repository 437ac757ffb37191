"""A gRPC port whose certificate changes: another server for each, and none that ever changes what it shows.

gRPC can ask for its certificate anew at each connection. It then exchanges what handshakes are made from while others,
begun by other connections, still use it, and twenty at once were enough to end the process (grpcio 1.85; grpc/grpc
#22647 tells of a lock that is not held). So a server's credentials stay as they are. When there is something else to
show or somebody else to believe, another server listens on the same port beside it (SO_REUSEPORT); only then does the
old one leave the port, and finishes what it has begun.

In between a few connections are lost: those that the kernel or gRPC has taken for the old server, but whose handshake
is not over when it leaves. Whoever comes again meets the new one.

With the old server go the keys that its session tickets were sealed with. A session that began with other roots, or
with our last certificate, is resumed by nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeVar

import grpc
import structlog
from grpc import aio

from injector.runtime.errors import StartupError
from injector.runtime.listener import bind
from injector.runtime.tls import insist_on_tls_1_3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Options = tuple[tuple[str, int], ...]

LAST_WORDS_SECONDS: Final = 1.0
"""For calls that end at the very end of their time."""

log = structlog.get_logger(__name__)


class Material(NamedTuple):
    """What a server shows and whom it believes, all PEM. Without roots its clients show no certificate."""

    key: bytes
    chain: bytes
    roots: bytes | None

    def __repr__(self) -> str:
        """Silent on the key: reprs end up in logs."""
        return f"Material(chain={self.chain!r}, roots={self.roots!r})"

    def credentials(self) -> grpc.ServerCredentials:
        """The same for every connection."""
        demanded = self.roots is not None
        return grpc.ssl_server_credentials([(self.key, self.chain)], self.roots, require_client_auth=demanded)


class Calls(Protocol):
    """The calls of one server."""

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """What it answers."""

    def leave(self, seconds: float) -> None:
        """It takes no more calls: those that would go on for ever are to end within this time."""


C = TypeVar("C", bound=Calls)


class RenewedServer(Generic[C]):
    """Serves one port (0: any; an empty host is every address of both families). `calls` makes what a server answers,
    and a server that is exchanged has `seconds` to end."""

    def __init__(self, host: str, port: int, options: Options, calls: Callable[[], C], seconds: float) -> None:
        insist_on_tls_1_3()
        self._host = host
        self._port = port
        self._options = (*options, ("grpc.so_reuseport", 1))
        self._make = calls
        self._seconds = seconds
        self._servers: dict[aio.Server, C] = {}
        self._current: aio.Server | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._material: Material | None = None

    @property
    def calls(self) -> list[C]:
        """Of the server of now, and of those that are ending."""
        return list(self._servers.values())

    @property
    def port(self) -> int:
        """The port; 0 while it is any, and not open yet."""
        return self._port

    async def serve(self, material: Material) -> bool:
        """Serve with this from now on; whether that is so. Where it cannot be had the old server goes on: ask again
        later, with the newest. Raises `StartupError` where there is no old one."""
        if self._stopping:
            return False
        if material == self._material:
            return True
        if self._current is None:
            self._insist_on_being_alone()
        try:
            fresh = await self._open(material)
        except StartupError as error:
            if self._current is None:
                raise
            log.warning("the port was not opened anew: going on with the old certificate", error=str(error))
            return False
        before, self._current, self._material = self._current, fresh, material
        if before is not None:
            log.info("server exchanged", port=self._port)
            task = asyncio.create_task(self._end(before, self._seconds))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        return True

    async def stop(self, seconds: float) -> None:
        """Leave the port for good, and give what is in progress this long."""
        self._stopping = True
        await asyncio.gather(*(self._end(server, seconds) for server in list(self._servers)))
        await asyncio.gather(*self._ending)

    async def _open(self, material: Material) -> aio.Server:
        server, calls = aio.server(options=self._options), self._make()
        server.add_generic_rpc_handlers(tuple(calls.handlers()))
        where = f"{f'[{self._host}]' if ':' in self._host else self._host or '[::]'}:{self._port}"
        try:
            self._port = server.add_secure_port(where, material.credentials())
        except RuntimeError as error:
            raise StartupError(f"cannot listen on {where}: {error}") from error
        self._servers[server] = calls
        await server.start()
        return server

    def _insist_on_being_alone(self) -> None:
        """Two processes on one port would share its connections, one of them without anybody's knowledge; whoever
        asks for a port of its own, as here, does not get it while others listen."""
        if self._port:
            bind(self._host, self._port).close()

    async def _end(self, server: aio.Server, seconds: float) -> None:
        calls = self._servers.get(server)
        try:
            if calls is not None:
                calls.leave(seconds)
            await server.stop(seconds + LAST_WORDS_SECONDS)
        except Exception:
            log.exception("a server did not end in order")
        finally:
            self._servers.pop(server, None)
