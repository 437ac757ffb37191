"""The gRPC server of `Identity`: TLS with a certificate that it signs itself, and one method."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.identity.limits import MOST_REVIEWS, Limits
from injector.identity.refusals import Reason, Refused
from injector.identity.requests import key_of
from injector.pace import TokenBucket
from injector.runtime.renewed import RenewedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from injector.identity.metrics import IdentityMetrics
    from injector.identity.tokens import Bearer, TokenReviewer
    from injector.pki import Leaf, Signer
    from injector.runtime.renewed import Material
    from injector.runtime.turns import Turns

    Context = aio.ServicerContext[pb.CertifyRequest, pb.CertifyResponse]
    Handler = grpc.RpcMethodHandler[pb.CertifyRequest, pb.CertifyResponse]

KIB: Final = 1024
SECOND: Final = 1000

MOST_CONNECTIONS: Final = 5_000
"""Of everybody: gRPC knows no bound for each source. They take 20 KB each until they have shaken hands, 100 MB of the
512 that we have; a server that is being exchanged has its own. As none lasts longer than 25 s, whoever wants to keep
others out has to open 200 a second."""

OPTIONS: Final = (
    # A request of 4 KiB, a token of at most 8, and what stands round them.
    ("grpc.max_receive_message_length", 16 * KIB),
    ("grpc.max_metadata_size", 8 * KIB),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 16 * KIB),
    # A proxy asks one question at a time.
    ("grpc.max_concurrent_streams", 2),
    # Whoever does not finish a handshake holds a descriptor; the default is two minutes.
    ("grpc.server_handshake_timeout_ms", 10 * SECOND),
    # The next question comes in hours: nobody keeps a connection for that. A proxy waits 10 s for its answer.
    ("grpc.max_connection_idle_ms", 5 * SECOND),
    ("grpc.max_connection_age_ms", 15 * SECOND),
    # A call that was begun and never finished does not keep its connection beyond that.
    ("grpc.max_connection_age_grace_ms", 10 * SECOND),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    ("grpc.keepalive_time_ms", 20 * SECOND),
    ("grpc.keepalive_timeout_ms", 10 * SECOND),
)

LOGGED_PER_SECOND: Final = 10.0
LOGGED_BURST: Final = 100.0
"""Lines about refusals: all are counted, and whoever asks a thousand times a second does not write the log."""

EXCHANGE_SECONDS: Final = 10.0
"""For calls in progress when our certificate changes: a proxy waits no longer for its answer."""

log = structlog.get_logger(__name__)


class IdentityServer:
    """Serves `Certify`. `signer` gives the issuer of this moment, or None while there is none; `lifetime` is a
    certificate's."""

    def __init__(
        self,
        host: str,
        port: int,
        reviewer: TokenReviewer,
        signer: Callable[[], Signer | None],
        lifetime: timedelta,
        turns: Turns,
        metrics: IdentityMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._reviewer = reviewer
        self._logged = TokenBucket(LOGGED_PER_SECOND, LOGGED_BURST)
        self._signer = signer
        self._lifetime = lifetime
        self._turns = turns
        self._metrics = metrics
        self._now = now
        self._limits = Limits()
        self._reviews = asyncio.Semaphore(MOST_REVIEWS)
        self._server = RenewedServer(host, port, OPTIONS, lambda: self, EXCHANGE_SECONDS)

    @property
    def port(self) -> int:
        """The port that is served."""
        return self._server.port

    async def serve(self, material: Material) -> bool:
        """Serve with this from now on (nothing to do where that is so already); whether that is so."""
        return await self._server.serve(material)

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and give those in progress this long."""
        await self._server.stop(seconds)

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """The same for each server that this one exchanges for another."""
        certify: Handler = grpc.unary_unary_rpc_method_handler(
            self._certify,
            request_deserializer=pb.CertifyRequest.FromString,
            response_serializer=pb.CertifyResponse.SerializeToString,
        )
        return (grpc.method_handlers_generic_handler(methods.IDENTITY, {"Certify": certify}),)

    def leave(self, seconds: float) -> None:
        """Its calls end of themselves."""

    async def _certify(self, request: pb.CertifyRequest, context: Context) -> pb.CertifyResponse:
        began, source, bearer = time.monotonic(), _address(context.peer()), None
        try:
            self._limits.arrive(source, began)
            signer = self._signer()
            if signer is None:
                raise Refused(Reason.NO_ISSUER, "there is no issuer to sign with now; try again")
            async with self._reviews:
                bearer = await self._reviewer.review(request.token)
            self._limits.certify(bearer.pod_uid, time.monotonic())
            leaf = await self._turns.run(bearer.subject.namespace, lambda: self._sign(signer, bearer, request.csr))
        except asyncio.CancelledError:
            # Whoever goes before the answer has made as much work as if the answer were no.
            self._metrics.refused(Reason.GONE)
            self._limits.refused(source, Reason.GONE, time.monotonic())
            raise
        except Refused as refused:
            self._metrics.refused(refused.reason)
            self._limits.refused(source, refused.reason, time.monotonic())
            if self._logged.take(time.monotonic()):
                log.warning("refused", peer=source, message=str(refused), **refused.facts, **_who(bearer))
            await context.abort(refused.code, str(refused))
        self._metrics.certified(time.monotonic() - began)
        log.info("certified", peer=source, until=leaf.not_after.isoformat(), **_who(bearer))
        return pb.CertifyResponse(
            chain=leaf.chain,
            not_before=int(leaf.not_before.timestamp()),
            not_after=int(leaf.not_after.timestamp()),
        )

    def _sign(self, signer: Signer, bearer: Bearer, csr: bytes) -> Leaf:
        return signer.issue(bearer.subject, key_of(csr, bearer.subject), self._now(), self._lifetime)


def _address(peer: str) -> str:
    """The address of a gRPC peer ("ipv4:10.0.0.1:4711", "ipv6:%5B::1%5D:4711") without its port."""
    return peer.partition(":")[2].rpartition(":")[0].removeprefix("%5B").removesuffix("%5D")


def _who(bearer: Bearer | None) -> dict[str, str]:
    """Who asked, once the token is known to be good."""
    if bearer is None:
        return {}
    return {"identity": str(bearer.subject), "pod": bearer.pod}
