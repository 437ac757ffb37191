"""An accept loop in front of uvicorn's protocol: who is refused is refused before a single byte of TLS is computed."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import structlog

from injector.runtime.errors import StartupError
from injector.runtime.gate import Gate, Reason
from injector.runtime.protocol import GuardedProtocol, http_config, state_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.runtime.limits import Limits

# Accepting costs some 15 µs: 64 at most between two looks at the open connections keeps those waiting for 1 ms.
ACCEPT_BATCH = 64
BACKLOG = 1024
SWEEP_SECONDS = 0.25
# When no file descriptor is left, accepting again at once would spin.
DESCRIPTOR_PAUSE_SECONDS = 0.1
# l_onoff = 1, l_linger = 0: close() sends a reset and leaves nothing behind in TIME_WAIT.
_RESET = struct.pack("ii", 1, 0)

log = structlog.get_logger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; an empty host is every address of both families where IPv6 exists, else of IPv4."""
    dual = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        raise StartupError(f"cannot listen on {host or '*'}:{port}: {error.strerror or error}") from error
    listening.setblocking(False)
    return listening


class Listener:
    """One port: accept, admit or refuse, shake hands, hand over to HTTP, and see to it that nobody dawdles.

    `tls` gives the context for a new connection at that moment (None: there is no certificate, refuse), so that a new
    certificate needs no restart; leave it out for a plain port.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: Any,
        limits: Limits,
        *,
        tls: Callable[[], ssl.SSLContext | None] | None = None,
        refused: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self.gate = Gate(limits)
        self._socket = listening
        self._config = http_config(app, limits.idle_seconds)
        self._state = state_for(self._config)
        self._tls = tls
        self._refused = refused
        self._draining = False
        self._closed = False
        self._accepting = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        """The port really bound."""
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Begin to accept."""
        self._accept_again()
        self._sweep_timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def ask_to_leave(self) -> None:
        """From now on each answer closes its connection, so that clients move on while we still accept."""
        self._draining = True

    async def close(self, seconds: float) -> None:
        """Stop accepting, let requests in flight finish for at most `seconds`, then close what is left."""
        self.ask_to_leave()
        self._closed = True
        self._stop_accepting()
        self._socket.close()
        for connection in self.gate.all_connections():
            if not connection.busy and isinstance(connection, GuardedProtocol):
                connection.transport.close()
        give_up = self._loop.time() + seconds
        while (self._state.connections or self._tasks) and self._loop.time() < give_up:  # noqa: ASYNC110 - two sets
            await asyncio.sleep(0.02)
        self._sweep_timer.cancel()
        for left in list(self._state.connections):
            left.transport.abort()
        for task in self._tasks:
            task.cancel()

    def _accept_again(self) -> None:
        self._accepting = True
        self._loop.add_reader(self._socket.fileno(), self._on_acceptable)

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._socket.fileno())

    def _on_acceptable(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._refused(Reason.NO_DESCRIPTORS)
                self._stop_accepting()
                self._loop.call_later(DESCRIPTOR_PAUSE_SECONDS, self._resume)
                return
            self._admit(accepted, address[0])

    def _resume(self) -> None:
        if not self._closed:
            self._accept_again()

    def _admit(self, accepted: socket.socket, source: str) -> None:
        context = self._tls() if self._tls is not None else None
        if self._tls is not None and context is None:
            self._turn_away(accepted, Reason.NO_CERTIFICATE)
            return
        verdict = self.gate.open(source, self._loop.time())
        if isinstance(verdict, Reason):
            self._turn_away(accepted, verdict)
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._shake_hands(accepted, source, context, verdict))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _turn_away(self, accepted: socket.socket, reason: Reason) -> None:
        self._refused(reason)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        accepted.close()

    async def _shake_hands(
        self, accepted: socket.socket, source: str, context: ssl.SSLContext | None, wait: float
    ) -> None:
        protocol = GuardedProtocol(
            self._config, self._state, self.gate, source, self._refused, draining=lambda: self._draining
        )
        try:
            if wait > 0:
                await asyncio.sleep(wait)
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self.gate.limits.handshake_seconds if context is not None else None,
                ssl_shutdown_timeout=1.0 if context is not None else None,
            )
        except (OSError, ssl.SSLError, TimeoutError):
            # A scanner, a health check of the TCP kind, a client that distrusts us: theirs to know, ours to count.
            self._refused(Reason.HANDSHAKE)
        finally:
            if not protocol.established:
                self.gate.abandoned(source)
                accepted.close()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self._state.connections):
            if isinstance(connection, GuardedProtocol) and connection.deadline < now:
                connection.refuse(connection.overdue)
        self.gate.forget(now)
        self._sweep_timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)
