"""HTTP/1 by hand, to the byte: what a library would tidy up on the way out, or hide on the way in."""

import hashlib
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

Fields = list[tuple[bytes, bytes]]

READ: Final = 64 * 1024
WITHOUT_BODY: Final = (204, 304)


@dataclass
class Message:
    """A request or a response. Names of fields are as they came."""

    start: bytes
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.fields if key.decode().lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def method(self) -> str:
        return self.start.split(b" ")[0].decode()

    @property
    def path(self) -> str:
        return self.start.partition(b" ")[2].partition(b" ")[0].decode()

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    @property
    def is_interim(self) -> bool:
        return 100 <= self.status < 200

    @property
    def keeps(self) -> bool:
        """Whether its connection may be used again."""
        said = (self.get("connection") or "").lower()
        return said == "keep-alive" if b"HTTP/1.0" in self.start else said != "close"


class Stream:
    """A connection that messages are read from."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._read = b""

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> Message | None:
        """The head of the next message; none: the connection has ended before it began."""
        lines = self._lines()
        if not lines:
            return None
        start, *rest = lines
        return Message(start, [_field(line) for line in rest])

    def read_body(self, message: Message) -> None:
        """Adds its body, however long it says that this is."""
        length = message.get("content-length")
        if message.get("transfer-encoding"):
            self._read_chunks(message)
        elif length is not None:
            message.body = self.take(int(length))
        elif message.start.startswith(b"HTTP/"):
            message.body = self.rest()

    def answer(self, method: str = "GET") -> Message:
        """The next response; the interim ones before it are passed over."""
        while True:
            message = self.head()
            assert message is not None, "the connection ended without an answer"
            if message.is_interim and message.status != 101:
                continue
            if method != "HEAD" and message.status not in WITHOUT_BODY and message.status != 101:
                self.read_body(message)
            return message

    def ask(self, request: bytes) -> Message:
        self.send(request)
        return self.answer(request.split(b" ")[0].decode())

    def take(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def rest(self) -> bytes:
        """All that comes before the end."""
        while chunk := self.socket.recv(READ):
            self._read += chunk
        taken, self._read = self._read, b""
        return taken

    def line(self) -> bytes:
        while b"\n" not in self._read:
            self._more()
        line, _, self._read = self._read.partition(b"\n")
        return line.removesuffix(b"\r")

    def _lines(self) -> list[bytes]:
        """Until the empty line; none where the connection ended instead."""
        if not self._read:
            self._read = self.socket.recv(READ)
            if not self._read:
                return []
        lines = []
        while line := self.line():
            lines.append(line)
        return lines

    def _read_chunks(self, message: Message) -> None:
        chunks = []
        while size := int(self.line().partition(b";")[0], 16):
            chunks.append(self.take(size))
            assert self.line() == b""
        message.body = b"".join(chunks)
        message.trailers = [_field(line) for line in self._lines()]

    def _more(self) -> None:
        chunk = self.socket.recv(READ)
        if not chunk:
            raise ConnectionResetError("the connection ended in the middle of a message")
        self._read += chunk


def request(method: str, path: str, *fields: str, body: bytes = b"") -> bytes:
    """A request of HTTP/1.1, with these lines."""
    length = [f"content-length: {len(body)}"] if body else []
    return lines(f"{method} {path} HTTP/1.1", "host: web.shop", *fields, *length) + body


def response(status: int, *fields: str, body: bytes = b"") -> bytes:
    return lines(f"HTTP/1.1 {status} As the test says", *fields, f"content-length: {len(body)}") + body


def lines(*each: str) -> bytes:
    """A head."""
    return "\r\n".join([*each, "", ""]).encode()


def chunked(body: Iterable[bytes], *trailers: str) -> bytes:
    """A body of unknown length, and what follows it."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in body) + b"0\r\n" + lines(*trailers)


PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = bytes(3) + b"\x04" + bytes(5)
DATA, HEADERS, RST_STREAM = 0, 1, 3
END_STREAM, END_HEADERS = 0x1, 0x4
PROTOCOL_ERROR: Final = 1


def http2_get(path: str, *fields: tuple[str, str]) -> bytes:
    """A connection of HTTP/2 that asks for one thing (RFC 9113), its fields as they are: literals (RFC 7541, 6.2.2)."""
    pseudo = ((":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "web.shop"))
    block = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in pseudo + fields
    )
    head = len(block).to_bytes(3, "big") + bytes([HEADERS, END_STREAM | END_HEADERS]) + (1).to_bytes(4, "big")
    return PREFACE + SETTINGS + head + block


def http2_body(stream: Stream) -> bytes:
    """The body of the answer to it."""
    body = b""
    for kind, flags, payload in _frames(stream):
        if kind == DATA:
            body += payload
        if flags & END_STREAM:
            break
    return body


def http2_fault(stream: Stream) -> int:
    """The code with which it is given up."""
    return next(int.from_bytes(payload, "big") for kind, _, payload in _frames(stream) if kind == RST_STREAM)


def _frames(stream: Stream) -> Iterator[tuple[int, int, bytes]]:
    """Those of the one request: kind, flags and payload."""
    while True:
        head = stream.take(9)
        payload = stream.take(int.from_bytes(head[:3], "big"))
        kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big")
        if number == 1 and kind in (DATA, HEADERS, RST_STREAM):
            yield kind, flags, payload


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip()
