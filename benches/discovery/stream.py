"""One proxy's stream, as cheap as Python can make it: HTTP/2 by hand on asyncio's TLS, one stream a connection.

gRPC's own Python client costs several times what the server does; with 2,000 of them the figures would be the load's.
The frames are those of RFC 9113, the header block is literals without Huffman codes (RFC 7541), a gRPC message is a
byte of flags and a length in front of its bytes.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import TYPE_CHECKING, cast

from injector.api import mesh_pb2 as pb
from injector.api import methods

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_HEADERS = 0x1, 0x4
INITIAL_WINDOW = 0x4
WINDOW = 2**20
_HEAD = 9


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _literal(index: int, value: bytes, name: bytes = b"") -> bytes:
    """A header field without indexing: a name of the static table, or (index 0) one of our own. Lengths below 127."""
    start = bytes((index,)) if index < 15 else bytes((15, index - 15))
    return start + (bytes((len(name),)) + name if name else b"") + bytes((len(value),)) + value


_HEADERS = (
    b"\x83\x87"  # :method POST, :scheme https
    + _literal(4, methods.WATCH.encode())
    + _literal(1, b"injector-discovery")
    + _literal(31, b"application/grpc")
    + _literal(0, b"trailers", name=b"te")
)
_OPENING = (
    PREFACE
    + _frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, WINDOW))
    + _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))
    + _frame(HEADERS, END_HEADERS, 1, _HEADERS)
)


class Stream(asyncio.Protocol):
    """`on_message` gets each message's bytes; `on_end` a word, once, when the stream or its connection ends."""

    def __init__(self, on_message: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._frames = bytearray()
        self._messages = bytearray()
        self._unacknowledged = 0
        self._ended = False
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the one stream."""
        self.transport = cast("asyncio.WriteTransport", transport)
        self.transport.write(_OPENING)

    def send(self, message: bytes) -> None:
        """One message; what a proxy says never fills a window."""
        self.transport.write(_frame(DATA, 0, 1, struct.pack(">BI", 0, len(message)) + message))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._end(f"connection lost: {error or 'closed'}")

    def data_received(self, data: bytes) -> None:
        """Whole frames out of what has come."""
        self._frames += data
        at = 0
        while len(self._frames) >= at + _HEAD:
            length = int.from_bytes(self._frames[at : at + 3], "big")
            if len(self._frames) < at + _HEAD + length:
                break
            payload = bytes(self._frames[at + _HEAD : at + _HEAD + length])
            self._on_frame(self._frames[at + 3], self._frames[at + 4], payload)
            at += _HEAD + length
        del self._frames[:at]

    def _on_frame(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == DATA:
            self._on_data(payload)
        elif kind == SETTINGS and not flags & ACK:
            self.transport.write(_frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.transport.write(_frame(PING, ACK, 0, payload))
        elif kind in (RST_STREAM, GOAWAY):
            self._end(f"frame {kind}: {payload!r}")

    def _on_data(self, payload: bytes) -> None:
        self._unacknowledged += len(payload)
        if self._unacknowledged > WINDOW // 4:
            update = struct.pack(">I", self._unacknowledged)
            self.transport.write(_frame(WINDOW_UPDATE, 0, 0, update) + _frame(WINDOW_UPDATE, 0, 1, update))
            self._unacknowledged = 0
        self._messages += payload
        while len(self._messages) >= 5:
            length = int.from_bytes(self._messages[1:5], "big")
            if len(self._messages) < 5 + length:
                return
            message = bytes(self._messages[5 : 5 + length])
            del self._messages[: 5 + length]
            self._on_message(message)

    def _end(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(why)


def hello(namespace: str, pod: str) -> pb.Hello:
    """What a proxy says first."""
    return pb.Hello(
        proxy_version="0.1.0",
        namespace=namespace,
        service_account="default",
        pod=pod,
        pod_uid=pod,
        node="node-1",
        trust=pb.Trust(roots=[bytes(32)], issuer=bytes(32), not_after=2_000_000_000),
    )


def client_context(directory: Path, namespace: str) -> ssl.SSLContext:
    """A pod's of this namespace. The server's name is not looked at: this is about load, and there is one server."""
    context = ssl.create_default_context(cafile=str(directory / "roots.pem"))
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(directory / f"{namespace}.pem")
    return context
