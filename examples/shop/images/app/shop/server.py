"""What both HTTP services share: health, draining and the way they end.

A pod that is deleted is told two things at once: Kubernetes takes its address out of the Services, and kubelet runs its
preStop hook. Taking the address out needs a moment to reach every node, so the hook (`/drain`) makes readiness fail and
answers only after that moment; then SIGTERM comes, and requests in flight get SHUTDOWN_SECONDS to finish.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

PORT = 8080
DRAIN_SECONDS = 3.0
SHUTDOWN_SECONDS = 10.0

# Raises, or returns why the service cannot serve ("" when it can).
Check = Callable[[], Awaitable[str]]


class Health:
    """`/live`: the process answers. `/ready`: it can serve. `/drain`: it is about to end."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._draining = False

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/live", self.live), web.get("/ready", self.ready), web.get("/drain", self.drain)]

    async def live(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(self, _: web.Request) -> web.Response:
        reason = "draining" if self._draining else await self._check()
        return web.Response(text=f"{reason or 'ready'}\n", status=503 if reason else 200)

    async def drain(self, _: web.Request) -> web.Response:
        self._draining = True
        await asyncio.sleep(DRAIN_SECONDS)
        return web.Response(text="drained\n")


def serve(application: web.Application) -> None:
    """Serve on every address of the pod, v4 and v6, until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # No access log: the load generator would fill it. Failures are logged where they happen.
    web.run_app(application, port=PORT, shutdown_timeout=SHUTDOWN_SECONDS, access_log=None, print=None)
