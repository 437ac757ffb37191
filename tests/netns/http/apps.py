"""The applications of these tests: one of HTTP/1 by hand, and programs that are started in a pod."""

import hashlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.netns.http import wire
from tests.netns.http.wire import Message, Stream
from tests.netns.pods import Pod, _listen

START_SECONDS: Final = 20.0
LISTENING: Final = "0A"
"""State of a socket in /proc/net/tcp."""

Route = Callable[[Stream, Message], None]


class Web:
    """An application that does what a test says, connection by connection, on threads; it remembers its requests."""

    def __init__(self, name: str = "web") -> None:
        self.name = name
        self.requests: list[Message] = []
        self.connections = 0
        self.routes: dict[str, Route] = {
            "/echo": echo,
            "/trailers": with_trailers,
            "/none": lambda stream, _: stream.send(wire.lines("HTTP/1.1 204 No Content")),
            "/same": lambda stream, _: stream.send(wire.lines("HTTP/1.1 304 Not Modified", 'etag: "1"')),
            "/large": large,
        }
        self.unread: dict[str, Route] = {}
        """Those that read the body themselves."""
        self._open: list[socket.socket] = []

    @contextmanager
    def serving(self, pod: Pod, port: int) -> Iterator["Web"]:
        listener = pod.inside(_listen, pod.v4, port)
        thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
            for one in self._open:
                with suppress(OSError):  # it has ended already
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # it was shut down
            connection.settimeout(30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), Stream(connection) as stream:
            while (message := stream.head()) is not None:
                path = message.path.partition("?")[0]
                self.requests.append(message)
                if message.get("expect"):
                    stream.send(wire.lines("HTTP/1.1 100 Continue"))
                if path in self.unread:
                    self.unread[path](stream, message)
                else:
                    stream.read_body(message)
                    self.routes.get(path, self._identify)(stream, message)
                if not message.keeps:
                    return

    def _identify(self, stream: Stream, _: Message) -> None:
        stream.send(wire.response(200, body=self.name.encode()))


def echo(stream: Stream, message: Message) -> None:
    stream.send(wire.response(200, f"x-method: {message.method}", body=message.body))


def with_trailers(stream: Stream, message: Message) -> None:
    head = wire.lines("HTTP/1.1 200 OK", "trailer: x-sum", "transfer-encoding: chunked")
    stream.send(head + wire.chunked([b"one", b"two", message.body or b"three"], "x-sum: 3"))


def large(stream: Stream, message: Message) -> None:
    """A megabyte, of which HEAD gets the head alone."""
    answer = wire.response(200, body=bytes(1024 * 1024))
    stream.send(answer[: -1024 * 1024] if message.method == "HEAD" else answer)


@contextmanager
def threaded(serve: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Serves beside the block."""
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


@contextmanager
def running(
    pod: Pod, *command: str | Path, port: int | None = None, user: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in the pod, from when it listens at the port until the block ends."""
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    words = ["ip", "netns", "exec", pod.name, *prefix, *map(str, command)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd="/tmp" if user else None) as process:
        try:
            if port is not None:
                wait_listening(process, port)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while not _listens(process.pid, port):
        assert process.poll() is None, f"{process.args!r} ended while starting"
        assert time.monotonic() < until, f"{process.args!r} does not listen at {port}"
        time.sleep(0.01)


def _listens(pid: int, port: int) -> bool:
    """Without connecting, which servers would notice."""
    for name in ("tcp", "tcp6"):
        table = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
        if any(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == LISTENING for row in table):
            return True
    return False


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


NGINX: Final = """\
daemon off;
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    root {directory}/files;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000;
    server {{
        listen {port};
        listen {h2c} http2;
        location / {{ dav_methods PUT DELETE; }}
        location = /ok {{ return 200 "ok\\n"; }}
        location /small/ {{ client_max_body_size 1m; dav_methods PUT; }}
    }}
}}
"""


@contextmanager
def nginx(pod: Pod, directory: Path, port: int, h2c: int) -> Iterator[Path]:
    """Serves and takes files of a folder, which this is."""
    files = directory / "files"
    files.mkdir(exist_ok=True)
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(directory=directory, port=port, h2c=h2c))
    with running(pod, "nginx", "-e", "stderr", "-c", configuration, port=port):
        yield files
