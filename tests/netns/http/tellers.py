"""Real servers whose applications tell what they have read (teller.py), each behind a tap, and the ways to them."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from injector.pki import SpiffeId
from tests.netns.http import apps, teller
from tests.netns.http.pair import SERVICE, Pair, cabled, meshed, redirect
from tests.netns.http.readings import DifferentError, Reading
from tests.netns.http.servers import accepting
from tests.netns.http.tap import Tap
from tests.netns.http.wire import READ
from tests.netns.pods import Pod
from tests.netns.volumes import NAMESPACE, TRUST_DOMAIN

PEERS: Final = Path(__file__).parent / "peers"
SERVERS: Final = {"node": 7001, "nginx": 7002, "go": 7003, "h11": 7004, "httptools": 7005, "http.server": 7006}
"""Where they listen. h11 and httptools are what uvicorn reads with; httptools' parser is Node's."""

DEAF: Final = "deaf"
"""Behind this tap is nobody."""

BEHIND_NGINX: Final = 7007
TAPS: Final = {name: port + 1000 for name, port in {**SERVERS, DEAF: 7008}.items()}
CLIENT: Final = str(SpiffeId(TRUST_DOMAIN, NAMESPACE, "default"))
ADMIN: Final = b"spiffe://cluster.local/ns/bank/sa/admin"
FORGED: Final = b"injector-client-id: " + ADMIN + b"\r\nInjector_Client_Id: " + ADMIN + b"\r\n"
"""What a client says that wants to be somebody else."""

HANG_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.05
"""Longer than what is looked at to find out the protocol (src/http/first.rs)."""

UVICORN: Final = (
    *("--host", "0.0.0.0", "--ws", "none", "--lifespan", "off"),
    *("--log-level", "critical", "--timeout-keep-alive", "600"),
)

NGINX: Final = """\
daemon off;
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    keepalive_timeout 600s;
    keepalive_requests 1000000;
    underscores_in_headers on;
    ignore_invalid_headers off;
    proxy_set_header Host $http_host;
    server {{
        listen {port};
        location / {{ proxy_pass http://{behind}; }}
        location = /early {{ client_max_body_size 1; proxy_pass http://{behind}; }}
    }}
}}
"""
"""The application is behind nginx: what it is told is what nginx has read."""


@dataclass
class Way:
    """How a client's bytes come to the servers: through both proxies, or, a stranger's, through the server's alone."""

    pair: Pair = field(repr=False)
    both: bool
    taps: dict[str, Tap] = field(repr=False)

    @property
    def mesh(self) -> tuple[tuple[str, str], ...]:
        """What the application must be told of the client."""
        return (("injector-client-id", CLIENT),) if self.both else ()

    def arriving(self, sent: Reading) -> Reading:
        """What the application must be told of a request: whatever the client says, the mesh says who it is."""
        return replace(sent, fields=(*(each for each in sent.fields if each not in sent.mesh), *self.mesh))

    def exchange(
        self, server: str, *pieces: bytes, pause: float = PAUSE_SECONDS, done: bool = False
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """What the client is told, and what the server has heard and said on each of its connections."""
        self.taps[server].take()
        said = talk(self.connect(server), *pieces, pause=pause, done=done)
        return said, self.taps[server].take()

    def connect(self, server: str) -> socket.socket:
        address = SERVICE if self.both else self.pair.server.v4
        return self.pair.client.connect(address, TAPS[server], timeout=HANG_SECONDS)


@contextmanager
def ways(binary: Path, both: bool, directory: Path, go_peer: Path) -> Iterator[Way]:
    with ExitStack() as stack:
        if both:
            pair = stack.enter_context(meshed(binary, "readings", TAPS.values()))
        else:
            pair = stack.enter_context(cabled(binary, "stranger"))
            redirect(pair.servers)
            pair.theirs = [stack.enter_context(pair.server.proxy())]
        yield Way(pair, both, stack.enter_context(_tapped(pair.server, directory, go_peer)))
        if both:
            pair.assert_encrypted()
        else:
            assert pair.theirs[0].metric("tcp_plaintext_total", reason="unmeshed_client") > 0


@contextmanager
def _tapped(pod: Pod, directory: Path, go_peer: Path) -> Iterator[dict[str, Tap]]:
    with ExitStack() as stack:
        stack.enter_context(accepting(pod, BEHIND_NGINX, teller.behind_nginx))
        started = [
            (stack.enter_context(apps.running(pod, *command)), SERVERS[name])
            for name, command in _commands(pod, directory, go_peer).items()
        ]
        for process, port in started:
            apps.wait_listening(process, port)
        yield {name: stack.enter_context(Tap().before(pod, TAPS[name], SERVERS.get(name))) for name in TAPS}


def _commands(pod: Pod, directory: Path, go_peer: Path) -> dict[str, tuple[str | Path, ...]]:
    configuration = directory / "nginx.conf"
    behind = f"{pod.v4}:{BEHIND_NGINX}"
    configuration.write_text(NGINX.format(directory=directory, port=SERVERS["nginx"], behind=behind))
    python = (sys.executable, "-m")
    uvicorn = (*python, "uvicorn", "tests.netns.http.teller:application", *UVICORN)
    return {
        "node": ("node", PEERS / "teller.js", str(SERVERS["node"])),
        "nginx": ("nginx", "-e", "stderr", "-c", configuration),
        "go": (go_peer, "tell", str(SERVERS["go"])),
        "h11": (*uvicorn, "--http", "h11", "--port", str(SERVERS["h11"])),
        "httptools": (*uvicorn, "--http", "httptools", "--port", str(SERVERS["httptools"])),
        "http.server": (*python, "tests.netns.http.teller", str(SERVERS["http.server"])),
    }


def talk(connection: socket.socket, *pieces: bytes, pause: float = PAUSE_SECONDS, done: bool = False) -> bytes:
    """Says the pieces with a pause between them, and returns what comes until the connection ends. `done`: after a last
    pause, it says that it has said all."""
    heard = b""
    with connection:
        try:
            for number, piece in enumerate(pieces):
                time.sleep(pause if number else 0)
                connection.sendall(piece)
            if done:
                time.sleep(pause)
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(READ):
                heard += chunk
        except TimeoutError:
            raise DifferentError(f"the connection goes on; it has said {heard!r}") from None
        except ConnectionError:
            pass  # it was reset
    return heard


def refused(said: bytes) -> bool:
    """By the proxy, and that was all."""
    head, _, text = said.partition(b"\r\n\r\n")
    return (
        bool(re.match(rb"HTTP/1\.1 [45]\d\d ", head))
        and b"injector-error: bad_request" in head
        and b"\nHTTP/" not in text
    )


def forged(request: bytes) -> bytes:
    """The same with fields that only the mesh may say, behind the first line."""
    line = re.match(rb"(?s)[\r\n]*[^\n]*\n", request)
    return request[: line.end()] + FORGED + request[line.end() :] if line else request
