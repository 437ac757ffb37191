"""The gRPC server: its two services, its limits, and how it ends."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from grpc import aio

from injector.api import methods
from injector.discovery import peers
from injector.discovery.metrics import Reason
from injector.discovery.model import Identity
from injector.discovery.watch import Watch
from injector.runtime.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.discovery.watch import Context, Surroundings

    Handler = grpc.RpcMethodHandler[bytes, bytes]

CONTROLLER: Final = "injector-controller"
"""The ServiceAccount that may ask for the fleet."""

KIB: Final = 1024
SECOND: Final = 1000
MINUTE: Final = 60 * SECOND

OPTIONS: Final = (
    # The largest request is 1,024 acknowledgements of IPv6 addresses: 24 bytes of address, 11 of version, 6 of framing
    # make 42 KB.
    ("grpc.max_receive_message_length", 64 * KIB),
    ("grpc.max_metadata_size", 8 * KIB),
    # What a client may send before it is read. By default gRPC lets that grow to megabytes with the line's speed, for
    # every one of thousands of streams.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 * KIB),
    # A proxy has one stream; a second one while it changes over.
    ("grpc.max_concurrent_streams", 4),
    # Calls that have arrived and not been taken yet, because others are being answered. From 1,000 on gRPC would turn
    # away some, by lot, as cancelled: 2,000 proxies that come at once would be told to come again.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # A client that does not finish its handshake holds a descriptor; the default is two minutes. Not too soon, either:
    # when thousands come at once the last of them waits some seconds for its turn.
    ("grpc.server_handshake_timeout_ms", 30 * SECOND),
    # A pod that vanished without a word is noticed within 80 s of silence.
    ("grpc.keepalive_time_ms", MINUTE),
    ("grpc.keepalive_timeout_ms", 20 * SECOND),
    # Proxies ping every 30 s of silence; by default more than one ping in 5 minutes is taken for an attack.
    ("grpc.http2.min_ping_interval_without_data_ms", 10 * SECOND),
    # A connection is authenticated once. After an hour (gRPC spreads it by 10 %) it is opened anew, with the
    # certificates and roots of then, and replicas that were restarted get their share of the proxies back.
    ("grpc.max_connection_age_ms", 60 * MINUTE),
    ("grpc.max_connection_age_grace_ms", 30 * SECOND),
    # Two processes on one port would share its connections, one of them without anybody's knowledge.
    ("grpc.so_reuseport", 0),
)

log = structlog.get_logger(__name__)


class DiscoveryServer:
    """Serves `Discovery` and `Fleet` on one port. `credentials` demand a client certificate; the system namespace is
    where the controller lives."""

    def __init__(self, shared: Surroundings, system_namespace: str) -> None:
        self._shared = shared
        self._controller = Identity(system_namespace, CONTROLLER)
        self._watches: dict[Watch, None] = {}
        self._server = aio.server(options=OPTIONS)
        # No serialisers: requests are read in their turn, answers are bytes that many streams share.
        watch: Handler = grpc.stream_stream_rpc_method_handler(self._watch)
        report: Handler = grpc.unary_stream_rpc_method_handler(self._report)
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(methods.DISCOVERY, {"Watch": watch}),
                grpc.method_handlers_generic_handler(methods.FLEET, {"Report": report}),
            )
        )

    def bind(self, host: str, port: int, credentials: grpc.ServerCredentials) -> int:
        """Reserve the port (0: any) and return it; an empty host is every address of both families."""
        where = f"{f'[{host}]' if ':' in host else host or '[::]'}:{port}"
        try:
            return self._server.add_secure_port(where, credentials)
        except RuntimeError as error:
            raise StartupError(f"cannot listen on {where}: {error}") from error

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    def refresh_parameters(self) -> None:
        """The parameters of some streams have changed: tell those."""
        for watch in self._watches:
            watch.refresh_parameters()

    async def drain(self, seconds: float) -> None:
        """Take no more streams, end those that are open one by one over `seconds`, so that their proxies do not all
        arrive elsewhere at the same moment."""
        log.info("ending streams", streams=len(self._watches), seconds=seconds)
        loop = asyncio.get_running_loop()
        for watch in list(self._watches):
            loop.call_later(random.uniform(0, seconds), watch.leave)  # noqa: S311 - spreads load, guards nothing
        await self._server.stop(seconds + 1)

    async def _watch(self, _: AsyncIterator[bytes], context: Context) -> None:
        refused = await self._run(Watch(self._shared, context))
        if refused is not None:
            await context.abort(*refused)

    async def _run(self, watch: Watch) -> tuple[grpc.StatusCode, str] | None:
        self._watches[watch] = None
        try:
            return await watch.run()
        finally:
            del self._watches[watch]

    async def _report(self, _: bytes, context: Context) -> None:
        caller = peers.identity(context.auth_context(), self._shared.trust_domain)
        if caller != self._controller:
            self._shared.metrics.refused(Reason.NOT_THE_CONTROLLER)
            got, expected = "/".join(caller or ("nobody",)), "/".join(self._controller)
            log.warning("report refused", peer=context.peer(), caller=got)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"expected {expected}, got {got}")
        for part in self._shared.fleet.report():
            await context.write(part)
