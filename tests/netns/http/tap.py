"""What lies between a proxy and its application, and keeps what both say, byte for byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tests.netns.http.servers import accepting
from tests.netns.http.wire import READ
from tests.netns.pods import Pod

DEAF_SECONDS: Final = 1.0
"""How long somebody listens who answers nothing."""


@dataclass
class _Connection:
    heard: bytes = b""
    said: bytes = b""


@dataclass
class Tap:
    """Connections are used for many requests. So it gives what came since it was asked last."""

    _connections: list[_Connection] = field(default_factory=list)
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> list[tuple[bytes, bytes]]:
        """What was heard and said on each connection on which anything was, by when that began."""
        with self._lock:
            taken = [(one.heard, one.said) for one in self._connections]
            self._connections.clear()
        return taken

    @contextmanager
    def before(self, pod: Pod, port: int, server: int | None) -> Iterator["Tap"]:
        """Listens at a port of the pod for the server at another one; without a server, it listens and says nothing."""

        def serve(client: socket.socket) -> None:
            if server is None:
                client.settimeout(DEAF_SECONDS)
                self._relay(client, None, _Live(self))
                return
            client.settimeout(None)
            with pod.connect(pod.v4, server, timeout=20) as application:
                application.settimeout(None)
                self._carry(client, application)

        with accepting(pod, port, serve):
            try:
                yield self
            finally:
                for one in [*self._open]:
                    with suppress(OSError):  # it has ended already
                        one.shutdown(socket.SHUT_RDWR)

    def _carry(self, client: socket.socket, application: socket.socket) -> None:
        for one in (client, application):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(one)
        live = _Live(self)
        back = threading.Thread(target=self._relay, args=(application, client, live, False), daemon=True)
        back.start()
        self._relay(client, application, live)
        back.join()
        self._open -= {client, application}

    def _relay(self, source: socket.socket, sink: socket.socket | None, live: "_Live", forth: bool = True) -> None:
        with suppress(OSError):  # either side may break
            while data := source.recv(READ):
                live.note(data, forth)
                if sink is not None:
                    sink.sendall(data)
        with suppress(OSError):
            if sink is not None:
                sink.shutdown(socket.SHUT_WR)


class _Live:
    """A connection that is open: of what is taken, it begins anew."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._connection = _Connection()

    def note(self, data: bytes, forth: bool) -> None:
        with self._tap._lock:
            if all(one is not self._connection for one in self._tap._connections):
                self._connection = _Connection()
                self._tap._connections.append(self._connection)
            if forth:
                self._connection.heard += data
            else:
                self._connection.said += data
