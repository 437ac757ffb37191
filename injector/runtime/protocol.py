"""uvicorn's HTTP protocol with a port's limits enforced where the bytes arrive, before anything is kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from injector.runtime.gate import Gate, Reason

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

# An answer to a request whose body is still arriving needs a moment to be read: closing at once makes the kernel send a
# reset that overtakes it.
LINGER_SECONDS = 0.3

_STATUS = {
    Reason.MALFORMED: 400,
    Reason.HEADERS_TOO_SLOW: 408,
    Reason.BODY_TOO_SLOW: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.TOO_MUCH_HELD: 429,
    Reason.HEADERS_TOO_LARGE: 431,
    Reason.NO_ANSWER: 504,
}


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `deadline` (loop time) is when the present phase must be over; the listener's sweep looks at it,
    which costs a request nothing, where a timer for each phase would cost it two system-wide heap operations."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        gate: Gate,
        source: str,
        refused: Callable[[Reason], None],
        draining: Callable[[], bool],
    ) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self.source = source
        self.held = 0
        self.established = False
        self.deadline = float("inf")
        self.overdue = Reason.HEADERS_TOO_SLOW
        self._gate = gate
        self._limits = gate.limits
        self._refused = refused
        self._draining = draining
        self._in_headers = False
        self._header_bytes = 0
        self._dead = False

    @property
    def busy(self) -> bool:
        """Whether a request is being received or answered."""
        return self._in_headers or (self.cycle is not None and not self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is done."""
        super().connection_made(transport)
        self.established = True
        self._gate.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; so is what it held."""
        self._gate.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this connection has had its answer already."""
        if self._dead:
            return
        super().data_received(data)
        if self._in_headers and not self._dead:
            # Counted only while headers are incomplete: the parser keeps what it has not handed over yet.
            self._header_bytes += len(data)
            if self._header_bytes > self._limits.header_bytes:
                self.refuse(Reason.HEADERS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self.cycle is not None and not self.cycle.response_complete:
            # Nobody who belongs here pipelines; a queue of unanswered requests would be memory without a bound.
            self.refuse(Reason.MALFORMED)
            return
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        self._await(Reason.HEADERS_TOO_SLOW, self._limits.header_seconds)

    def on_headers_complete(self) -> None:
        """The whole head: a body that is announced too large is refused before its first byte."""
        self._in_headers = False
        if self._dead:
            return
        announced = next((value for name, value in self.headers if name == b"content-length"), b"0")
        if int(announced) > self._limits.body_bytes:
            self.refuse(Reason.BODY_TOO_LARGE)
            return
        self._await(Reason.BODY_TOO_SLOW, self._limits.body_seconds)
        super().on_headers_complete()
        if self._draining():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Some of the body: counted before it is kept."""
        if self._dead or self.cycle.response_complete:
            return
        if self.held + len(body) > self._limits.body_bytes:
            self.refuse(Reason.BODY_TOO_LARGE)
            return
        reason = self._gate.hold(self, len(body))
        if reason is not None:
            self.refuse(reason)
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        if self._dead:
            return
        if self.cycle.response_complete:
            self.deadline = float("inf")
        else:
            self._await(Reason.NO_ANSWER, self._limits.answer_seconds)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out: nothing is held any longer, and the connection may idle once the request is over, too."""
        self._gate.release(self)
        if not self.cycle.more_body:
            self.deadline = float("inf")
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's word for a request that is no HTTP."""
        self.refuse(Reason.MALFORMED)

    def refuse(self, reason: Reason) -> None:
        """Say why, if an answer can still be said, and close."""
        if self._dead:
            return
        self._dead = True
        self._in_headers = False
        self.deadline = float("inf")
        self._gate.release(self)
        self._refused(reason)
        if self.cycle is None or not self.cycle.response_started:
            text = reason.value.replace("-", " ").encode() + b"\n"
            head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
            self.transport.write(STATUS_LINE[_STATUS[reason]] + head + text)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.pause_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def evict(self, reason: Reason) -> None:
        """Close without a word."""
        self._dead = True
        self._refused(reason)
        self.transport.abort()

    def _await(self, overdue: Reason, seconds: float) -> None:
        self.overdue = overdue
        self.deadline = self.loop.time() + seconds


def state_for(config: Config) -> ServerState:
    """The state uvicorn's protocols share; no default headers, because each costs bytes and nobody reads them."""
    config.load()
    return ServerState()


def http_config(app: Any, idle_seconds: float) -> Config:
    """uvicorn settings that leave sockets, TLS, logs and signals to us."""
    return Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=int(idle_seconds),
    )
