"""The API: products and orders as JSON. `python3 -m shop.api`.

GET  /products                                -> 200 [{"id", "name", "price_cents", "sold"}]
POST /orders    {"product": 1, "quantity": 2} -> 201 {"order": 17, "shipping_cents": 480}; 422 when it makes no sense
Both answer 503 when the database does not, and orders when shipping does not.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import aiomysql
import grpc
from aiohttp import web

from shop import shipping_pb2, shipping_pb2_grpc
from shop.catalogue import Catalogue, UnknownProductError
from shop.server import Health, serve
from shop.settings import required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

LOG = logging.getLogger(__name__)
MOST_OF_ONE = 99
MAX_BODY_BYTES = 4096  # an order has 30
QUOTE_SECONDS = 2.0


class Api:
    """The handlers, and what they share."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._shipping: shipping_pb2_grpc.ShippingStub | None = None

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """Open the pools before the first request and close them after the last."""
        self._catalogue = await Catalogue.open(
            database_host=required("DATABASE_HOST"),
            database_password=required("DATABASE_PASSWORD"),
            cache_host=required("CACHE_HOST"),
            cache_password=required("CACHE_PASSWORD"),
        )
        async with grpc.aio.insecure_channel(required("SHIPPING")) as channel:
            self._shipping = shipping_pb2_grpc.ShippingStub(channel)
            yield
        await self._catalogue.close()

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            raise RuntimeError("a request arrived before the application had started")
        return self._catalogue

    async def products(self, _: web.Request) -> web.Response:
        return web.json_response(await self.catalogue.products())

    async def order(self, request: web.Request) -> web.Response:
        try:
            product, quantity = _parse_order(await request.text())
            cents = await self._quote(quantity)
            number = await self.catalogue.order(product, quantity)
        except (ValueError, UnknownProductError) as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"order": number, "shipping_cents": cents}, status=201)

    async def _quote(self, pieces: int) -> int:
        if self._shipping is None:
            raise RuntimeError("a request arrived before the application had started")
        # A connection that is being made is waited for: shipping's pods may all be new.
        request = shipping_pb2.QuoteRequest(pieces=pieces)
        quote = await self._shipping.Quote(request, timeout=QUOTE_SECONDS, wait_for_ready=True)
        return int(quote.price_cents)

    async def check(self) -> str:
        return await self.catalogue.unavailable()


def _parse_order(body: str) -> tuple[int, int]:
    try:
        order = json.loads(body)
    except json.JSONDecodeError as error:
        raise ValueError(f"the body should be JSON: {error}") from error
    if not isinstance(order, dict):
        raise ValueError(f"the body should be an object, and is {type(order).__name__}")  # noqa: TRY004
    product, quantity = order.get("product"), order.get("quantity")
    if type(product) is not int or type(quantity) is not int or not 1 <= quantity <= MOST_OF_ONE:
        raise ValueError(f'expected {{"product": ID, "quantity": 1 to {MOST_OF_ONE}}}, and got {body}')
    return product, quantity


@web.middleware
async def answer_outages(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A database or a service that is away is a 503 that says so, not a 500 with a traceback."""
    try:
        return await handler(request)
    except (OSError, TimeoutError, aiomysql.Error) as error:
        LOG.warning("%s %s: the database failed: %s: %s", request.method, request.path, type(error).__name__, error)
        return web.json_response({"error": "the database does not answer; try again"}, status=503)
    except grpc.aio.AioRpcError as error:
        LOG.warning("%s %s: shipping failed: %s: %s", request.method, request.path, error.code().name, error.details())
        return web.json_response({"error": "shipping does not answer; try again"}, status=503)


def application() -> web.Application:
    api = Api()
    app = web.Application(middlewares=[answer_outages], client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(api.lifetime)
    app.add_routes([web.get("/products", api.products), web.post("/orders", api.order), *Health(api.check).routes()])
    return app


if __name__ == "__main__":
    serve(application())
