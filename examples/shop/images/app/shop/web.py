"""The web shop: HTML for people, made from what the API says. `python3 -m shop.web`.

GET  /      -> the products
POST /buy   -> a form with `product`; orders one and shows the order's number
"""

from __future__ import annotations

import html
import logging
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from shop.server import Health, serve
from shop.settings import required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

LOG = logging.getLogger(__name__)
# As many requests at a time as one process can have in flight; more would only queue inside the API.
API_CONNECTIONS = 50
API_TIMEOUT = aiohttp.ClientTimeout(total=5.0, sock_connect=1.0)

PAGE = """<!doctype html>
<html lang="en"><title>Coffee things</title>
<h1>Coffee things</h1>
{body}
</html>
"""
ROW = """<li>{name}, {price}, sold {sold}
<form method="post" action="/buy"><button name="product" value="{id}">Buy</button></form></li>"""


class Web:
    """The handlers, and the client they share."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._client: aiohttp.ClientSession | None = None

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """Open the client before the first request and close it after the last."""
        connector = aiohttp.TCPConnector(limit=API_CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector, timeout=API_TIMEOUT) as self._client:
            yield

    @property
    def client(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("a request arrived before the application had started")
        return self._client

    async def index(self, _: web.Request) -> web.Response:
        async with self.client.get(f"{self._api}/products", raise_for_status=True) as answer:
            products = await answer.json()
        rows = [
            ROW.format(
                name=html.escape(product["name"]),
                price=f"{product['price_cents'] / 100:.2f} €",
                sold=product["sold"],
                id=product["id"],
            )
            for product in products
        ]
        return _page("<ul>\n" + "\n".join(rows) + "\n</ul>")

    async def buy(self, request: web.Request) -> web.Response:
        product = str((await request.post()).get("product", ""))
        if not product.isascii() or not product.isdigit():
            return _page("<p>Please choose a product.</p>", status=400)
        order = {"product": int(product), "quantity": 1}
        async with self.client.post(f"{self._api}/orders", json=order) as answer:
            if answer.status == web.HTTPUnprocessableEntity.status_code:
                return _page("<p>We do not have that.</p>", status=404)
            answer.raise_for_status()
            placed = await answer.json()
        shipping = f"{placed['shipping_cents'] / 100:.2f} €"
        return _page(
            f'<p>Thank you for order {placed["order"]}; shipping is {shipping}.</p><p><a href="/">More</a></p>'
        )

    async def check(self) -> str:
        """The web shop is ready when it runs: an API that is away is the API's readiness, not ours."""
        return "" if self._client is not None else "starting"


def _page(body: str, status: int = 200) -> web.Response:
    return web.Response(text=PAGE.format(body=body), content_type="text/html", status=status)


@web.middleware
async def answer_outages(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """An API that fails is a 502 or 504 that says so, as a gateway's should be."""
    try:
        return await handler(request)
    except (TimeoutError, aiohttp.ClientError) as error:
        LOG.warning("%s %s: the API failed: %s: %s", request.method, request.path, type(error).__name__, error)
        return _page("<p>Please try again in a moment.</p>", status=504 if isinstance(error, TimeoutError) else 502)


def application() -> web.Application:
    shop = Web(required("API_URL"))
    app = web.Application(middlewares=[answer_outages])
    app.cleanup_ctx.append(shop.lifetime)
    app.add_routes([web.get("/", shop.index), web.post("/buy", shop.buy), *Health(shop.check).routes()])
    return app


if __name__ == "__main__":
    serve(application())
