"""What shipping costs, by gRPC (shipping.proto). `python3 -m shop.shipping`.

It ends as the HTTP services do (server.py): the preStop hook waits until no new connections come, then SIGTERM lets
requests in flight finish. A probe is answered as long as requests are.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Final

import grpc

from shop import health_pb2, health_pb2_grpc, shipping_pb2, shipping_pb2_grpc

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

PORT: Final = 50051
GRACE_SECONDS: Final = 10.0

BASE_CENTS: Final = 390
CENTS_A_PIECE: Final = 45
MOST_PIECES: Final = 99
DAYS_A_PARCEL: Final = 2
PIECES_A_PARCEL: Final = 10


class Shipping(shipping_pb2_grpc.ShippingServicer):
    """A price list with two lines."""

    async def Quote(  # noqa: N802  (the contract's name)
        self, request: shipping_pb2.QuoteRequest, context: ServicerContext
    ) -> shipping_pb2.QuoteResponse:
        pieces = request.pieces
        if not 1 <= pieces <= MOST_PIECES:
            message = f"expected 1 to {MOST_PIECES} pieces, and got {pieces}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        parcels = -(-pieces // PIECES_A_PARCEL)
        return shipping_pb2.QuoteResponse(
            price_cents=BASE_CENTS * parcels + CENTS_A_PIECE * pieces, days=DAYS_A_PARCEL + parcels
        )


class Health(health_pb2_grpc.HealthServicer):
    """There is nothing behind this service, so it can serve when it answers."""

    async def Check(  # noqa: N802  (the contract's name)
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in ("", "shop.Shipping"):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r}")
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = grpc.aio.server()
    shipping_pb2_grpc.add_ShippingServicer_to_server(Shipping(), server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    server.add_insecure_port(f"[::]:{PORT}")
    await server.start()
    stop = asyncio.Event()
    for end in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(end, stop.set)
    await stop.wait()
    await server.stop(GRACE_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
