"""The gRPC server: its two services, its limits, how it is exchanged, and how it ends."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from injector.api import methods
from injector.discovery import peers
from injector.discovery.metrics import Reason
from injector.discovery.model import Identity
from injector.discovery.watch import Watch
from injector.runtime.renewed import RenewedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from injector.discovery.watch import Context, Surroundings
    from injector.runtime.renewed import Material

    Handler = grpc.RpcMethodHandler[bytes, bytes]

CONTROLLER: Final = "injector-controller"
"""The ServiceAccount that may ask for the fleet."""

KIB: Final = 1024
SECOND: Final = 1000
MINUTE: Final = 60 * SECOND

MOST_CONNECTIONS: Final = 10_000
"""The proxies of the largest mesh, all at one replica; a server that is being exchanged has its own. Until its
handshake is over a connection takes 20 KB: 200 MB if strangers held all of them, of the 1 GiB that we have. A stream
takes some 120 KB: that bounds what honest proxies may need long before."""

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
    # Whoever does not finish a handshake holds a descriptor and 20 KB; the default is two minutes. When thousands come
    # at once the last of them waits some seconds for its turn.
    ("grpc.server_handshake_timeout_ms", 10 * SECOND),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    # A proxy without a stream has no use for its connection; one whose stream was refused comes again within 30 s.
    ("grpc.max_connection_idle_ms", 30 * SECOND),
    # A pod that vanished without a word is noticed within 80 s of silence.
    ("grpc.keepalive_time_ms", MINUTE),
    ("grpc.keepalive_timeout_ms", 20 * SECOND),
    # Proxies ping every 30 s of silence; by default more than one ping in 5 minutes is taken for an attack.
    ("grpc.http2.min_ping_interval_without_data_ms", 10 * SECOND),
    # A connection is authenticated once. After an hour (gRPC spreads it by 10 %) it is opened anew, with the
    # certificates and roots of then, and replicas that were restarted get their share of the proxies back.
    ("grpc.max_connection_age_ms", 60 * MINUTE),
    ("grpc.max_connection_age_grace_ms", 30 * SECOND),
)

EXCHANGE_SECONDS: Final = 60.0
"""Over which the streams of a server end that is exchanged for one with another certificate: nobody waits for that, as
for a replica that shuts down, and of 10,000 proxies 170 come again in a second (5 % of a core)."""

_DENIED: Final = grpc.StatusCode.PERMISSION_DENIED

log = structlog.get_logger(__name__)


class DiscoveryServer:
    """Serves `Discovery` and `Fleet` on one port to whoever shows a certificate; the system namespace is where the
    controller lives."""

    def __init__(self, shared: Surroundings, system_namespace: str, host: str, port: int) -> None:
        controller = Identity(system_namespace, CONTROLLER)
        self._server = RenewedServer(host, port, OPTIONS, lambda: Calls(shared, controller), EXCHANGE_SECONDS)

    @property
    def port(self) -> int:
        """The port that is served."""
        return self._server.port

    async def serve(self, material: Material) -> bool:
        """Serve with this from now on: the streams that are open end one by one, and their proxies come again. Whether
        that is so."""
        return await self._server.serve(material)

    def refresh_parameters(self) -> None:
        """The parameters of some streams have changed: tell those."""
        for calls in self._server.calls:
            for watch in calls.watches:
                watch.refresh_parameters()

    async def drain(self, seconds: float) -> None:
        """Take no more streams, end those that are open one by one over `seconds`, so that their proxies do not all
        arrive elsewhere at the same moment."""
        streams = sum(len(calls.watches) for calls in self._server.calls)
        log.info("ending streams", streams=streams, seconds=seconds)
        await self._server.stop(seconds)


class Calls:
    """The calls of one gRPC server, of those that follow each other on the port."""

    def __init__(self, shared: Surroundings, controller: Identity) -> None:
        self._shared = shared
        self._controller = controller
        self._leave_by: float | None = None
        self.watches: dict[Watch, None] = {}

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """No serialisers: requests are read in their turn, answers are bytes that many streams share."""
        watch: Handler = grpc.stream_stream_rpc_method_handler(self._watch)
        report: Handler = grpc.unary_stream_rpc_method_handler(self._report)
        return (
            grpc.method_handlers_generic_handler(methods.DISCOVERY, {"Watch": watch}),
            grpc.method_handlers_generic_handler(methods.FLEET, {"Report": report}),
        )

    def leave(self, seconds: float) -> None:
        """End the streams one by one, and those that were already on their way to us."""
        self._leave_by = asyncio.get_running_loop().time() + seconds
        for watch in self.watches:
            self._end_in_time(watch, self._leave_by)

    def _end_in_time(self, watch: Watch, by: float) -> None:
        loop = asyncio.get_running_loop()
        spread = random.uniform(0, max(0.0, by - loop.time()))  # noqa: S311 - spreads load, guards nothing
        loop.call_later(spread, watch.leave)

    async def _watch(self, _: AsyncIterator[bytes], context: Context) -> None:
        refused = self._expired(context) or await self._run(Watch(self._shared, context))
        if refused is not None:
            await context.abort(*refused)

    async def _run(self, watch: Watch) -> tuple[grpc.StatusCode, str] | None:
        self.watches[watch] = None
        if self._leave_by is not None:
            self._end_in_time(watch, self._leave_by)
        try:
            return await watch.run()
        finally:
            del self.watches[watch]

    async def _report(self, _: bytes, context: Context) -> None:
        refused = self._expired(context) or self._not_the_controller(context)
        if refused is not None:
            await context.abort(*refused)
        for part in self._shared.fleet.report():
            await context.write(part)

    def _expired(self, context: Context) -> tuple[grpc.StatusCode, str] | None:
        """A session that is resumed was authenticated when it began, and gRPC does not look at its certificate again;
        neither does it while a connection lasts. So it is looked at here, at the beginning of each call."""
        if not peers.expired(context.auth_context(), datetime.now(UTC)):
            return None
        self._refused(Reason.CERTIFICATE_EXPIRED, context)
        return _DENIED, "expected a certificate that has not expired by our clock; renew it"

    def _not_the_controller(self, context: Context) -> tuple[grpc.StatusCode, str] | None:
        caller = peers.identity(context.auth_context(), self._shared.trust_domain)
        if caller == self._controller:
            return None
        self._refused(Reason.NOT_THE_CONTROLLER, context)
        return _DENIED, f"expected {'/'.join(self._controller)}, got {'/'.join(caller or ('nobody',))}"

    def _refused(self, reason: Reason, context: Context) -> None:
        self._shared.metrics.refused(reason)
        if self._shared.logged.take(asyncio.get_running_loop().time()):
            caller = peers.identity(context.auth_context(), self._shared.trust_domain)
            log.warning(
                "call refused", peer=context.peer(), reason=reason.value, caller="/".join(caller or ("nobody",))
            )
