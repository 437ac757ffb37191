"""The HTTP face of the webhook: three POST routes, each handing whole bodies to the handler."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI
from starlette.routing import Route

from injector.webhook.directory import Unavailable
from injector.webhook.handler import Entry, Missing, NamespaceKey, Outcome, OwnerKey, Result
from injector.webhook.review import BadReview

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.types import Receive, Scope, Send

    from injector.pace import TokenBucket
    from injector.runtime.turns import Turns
    from injector.webhook.handler import Handler
    from injector.webhook.metrics import WebhookMetrics

# A namespace and an owner can be missing; a third would mean that fetching does not help.
FETCHES = 2

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")

log = structlog.get_logger(__name__)


class WebhookApp(FastAPI):
    """FastAPI, with a short way past its middleware and router for reviews: those would cost a fifth of one."""

    def __init__(self, endpoints: Iterable[ReviewEndpoint]) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self._endpoints = {endpoint.path: endpoint for endpoint in endpoints}
        for path, endpoint in self._endpoints.items():
            self.router.routes.append(Route(path, endpoint, methods=["POST"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: a review's endpoint, or what FastAPI says to anything else."""
        endpoint = self._endpoints.get(scope["path"])
        if endpoint is not None and scope["method"] == "POST":
            await endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build(
    handler: Handler,
    fetch: Callable[[NamespaceKey | OwnerKey, str], Awaitable[None]],
    turns: Turns,
    metrics: WebhookMetrics,
    log_allowance: TokenBucket,
) -> FastAPI:
    """The application, with a route for each entry."""
    return WebhookApp(ReviewEndpoint(entry, handler, fetch, turns, metrics, log_allowance) for entry in Entry)


class ReviewEndpoint:
    """Reads one body, answers it. As an ASGI application of its own, because a review needs no request object."""

    def __init__(
        self,
        entry: Entry,
        handler: Handler,
        fetch: Callable[[NamespaceKey | OwnerKey, str], Awaitable[None]],
        turns: Turns,
        metrics: WebhookMetrics,
        log_allowance: TokenBucket,
    ) -> None:
        self.path = entry.path
        self._entry = entry
        self._handler = handler
        self._fetch = fetch
        self._turns = turns
        self._metrics = metrics
        self._log_allowance = log_allowance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if (body := await _read(receive)) is None:
            return
        started = perf_counter()
        source = scope["client"][0]
        try:
            outcome = await self._answer(body, source)
        except BadReview as fault:
            self._record(Result.BAD_REQUEST, "", started)
            await _send(send, 400, _TEXT, f"{fault}\n".encode())
            return
        # Our fault, whatever it is: an HTTP 500 lets failurePolicy decide, an answer would decide for the user.
        except Unavailable as fault:
            self._record(Result.ERROR, "unavailable", started)
            if self._may_log():
                log.warning("review not answered", entry=self._entry.value, error=str(fault))
            await _send(send, 500, _TEXT, f"{fault}\n".encode())
            return
        except Exception:
            self._record(Result.ERROR, "internal", started)
            if self._may_log():
                log.exception("review failed", entry=self._entry.value)
            await _send(send, 500, _TEXT, b"internal error; the webhook's log says more\n")
            return
        self._record(outcome.result, outcome.reason, started)
        self._log(outcome, perf_counter() - started)
        await _send(send, 200, _JSON, outcome.body)

    async def _answer(self, body: bytes, source: str) -> Outcome:
        for _ in range(FETCHES):
            try:
                return await self._turns.run(source, lambda: self._handler.answer(self._entry, body))
            except Missing as missing:
                await self._fetch(missing.key, source)
        return await self._turns.run(source, lambda: self._handler.answer(self._entry, body))

    def _record(self, result: Result, reason: str, started: float) -> None:
        self._metrics.reviewed(self._entry, result, reason, perf_counter() - started)

    def _may_log(self) -> bool:
        """A forged review costs its sender nothing, and must not cost us the log."""
        return self._log_allowance.take(perf_counter())

    def _log(self, outcome: Outcome, seconds: float) -> None:
        if self._may_log():
            log.info(
                "reviewed",
                entry=self._entry.value,
                namespace=outcome.namespace[:253],
                name=outcome.name[:253],
                result=outcome.result.value,
                reason=outcome.reason,
                uid=outcome.uid[:64],
                milliseconds=round(seconds * 1000, 2),
            )


async def _read(receive: Receive) -> bytes | None:
    """The whole body, which the connection has bounded already; None if the client went away."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message["body"]
        return whole
    parts = []
    while message["type"] == "http.request":
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


async def _send(send: Send, status: int, content_type: tuple[bytes, bytes], body: bytes) -> None:
    headers: list[Any] = [content_type, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
