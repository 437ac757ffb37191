"""Python's applications that tell, in the field `x-read` of each answer, what they have read: one of ASGI for uvicorn,
one behind nginx, and, as a program, http.server at a port (`python -m tests.netns.http.teller PORT`). peers/teller.js
is the same of Node."""

import asyncio
import base64
import json
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.netns.http.wire import Stream, lines

STATUS: Final = {"/none": 204, "/same": 304}
EARLY: Final = "/early"
"""Where the answer comes before the body is read."""

SLOW: Final = "/slow"
SLOW_SECONDS: Final = 0.2

Fields = Iterable[tuple[str, str]]


def told(method: str, target: str, fields: Fields, body: bytes | None) -> str:
    text = None if body is None else body.decode("latin-1")
    read = {"method": method, "target": target, "fields": [*fields], "body": text}
    return base64.b64encode(json.dumps(read).encode()).decode()


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http", scope
    body: bytes | None = None
    if scope["path"] != EARLY:
        body = await _gathered(receive)
        if body is None:
            return  # the client is gone
    await asyncio.sleep(SLOW_SECONDS if scope["path"] == SLOW else 0)
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    status = 413 if scope["path"] == EARLY else STATUS.get(scope["path"], 200)
    said = told(scope["method"], target, fields, body)
    head = [(b"x-read", said.encode()), *([] if status in STATUS.values() else [(b"content-length", b"2")])]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"" if status in STATUS.values() else b"ok"})


async def _gathered(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message["body"])
        if not message.get("more_body"):
            return body


def behind_nginx(connection: socket.socket) -> None:
    """One request, with its length, of a connection from nginx."""
    stream = Stream(connection)
    message = stream.head()
    assert message is not None
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.fields]
    method, target, _ = message.start.decode("latin-1").split(" ")
    lengths = [int(value) for name, value in fields if name.lower() == "content-length"]
    body = stream.take(lengths[0] if lengths else 0)
    status, said = STATUS.get(target, 200), told(method, target, fields, body)
    bodiless = status in STATUS.values()
    length = [] if bodiless else ["content-length: 2"]
    answer = b"" if bodiless or method == "HEAD" else b"ok"
    stream.send(lines(f"HTTP/1.1 {status} As Read", "connection: close", f"x-read: {said}", *length) + answer)


class Handler(BaseHTTPRequestHandler):
    """One for every method, as Werkzeug's has it. Bodies have a length, or are not read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._tell
        raise AttributeError(name)

    def _tell(self) -> None:
        length = self.headers.get("content-length")
        chunked = self.headers.get("transfer-encoding")
        body = None if chunked or self.path == EARLY else self._read(int(length or 0))
        fields = [(name, str(value)) for name, value in self.headers.items()]
        status, said = (
            413 if self.path == EARLY else STATUS.get(self.path, 200),
            told(self.command, self.path, fields, body),
        )
        if self.request_version == "HTTP/0.9":
            self.wfile.write(f"x-read: {said}\r\n".encode())  # its answers have no head
            return
        self.send_response(status)
        self.send_header("x-read", said)
        if status not in STATUS.values():
            self.send_header("content-length", "2")
        self.end_headers()
        if self.command != "HEAD" and status not in STATUS.values():
            self.wfile.write(b"ok")

    def _read(self, length: int) -> bytes:
        body = b""
        while chunk := self.rfile.read(min(length - len(body), 65536)):
            body += chunk
        if len(body) < length:
            raise ConnectionResetError
        return body

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that go in the middle are meant to."""


if __name__ == "__main__":
    Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
