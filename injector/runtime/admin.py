"""The plain admin port of every part: is it alive, is it ready and if not why, and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry
    from starlette.requests import Request


def build(
    registry: CollectorRegistry, not_ready: Callable[[], Sequence[str]], refresh: Callable[[], None] = lambda: None
) -> FastAPI:
    """`not_ready` gives the reasons not to be sent traffic, a sentence each, none when ready; `refresh` sets gauges
    that are read from somewhere just before they are shown."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        reasons = not_ready()
        return PlainTextResponse("\n".join(reasons or ["ok"]) + "\n", status_code=503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        refresh()
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    app.add_route("/livez", livez)
    app.add_route("/readyz", readyz)
    app.add_route("/metrics", metrics)
    return app
