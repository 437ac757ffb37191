"""The application in the server's pod: nginx with one worker, and the gRPC echo."""

from __future__ import annotations

import contextlib
import resource
from functools import partial
from typing import TYPE_CHECKING

from benches.http.clients import GRPC_BINARY, MESSAGE, message
from benches.http.rows import BODIES, GRPC, HTTP1, HTTP2
from benches.processes import OUTPUT, running
from benches.tcp.meshes import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.namespaces import Pod

_DIRECTORY = OUTPUT / "http"
_BODIES = _DIRECTORY / "bodies"
_START_SECONDS = 10.0
FILES = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
"""Descriptors of the server, and of whoever holds 10,000 connections through it; fewer where no more are granted."""


def nginx_configuration(name: str) -> str:
    """Three bytes at /, files by their names, over HTTP/1.1 and over HTTP/2 by prior knowledge; nothing is ever closed.

    Large bodies leave by sendfile, from the page cache.
    """
    return f"""\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile {FILES};
pid {_DIRECTORY}/{name}.pid;
error_log stderr warn;
events {{
    worker_connections {FILES - 100};
}}
http {{
    access_log off;
    sendfile on;
    open_file_cache max=16 inactive=1h;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    default_type text/plain;
    root {_BODIES};
    server {{
        listen {HTTP1} backlog=4096;
        location = / {{
            return 200 "ok\\n";
        }}
    }}
    server {{
        listen {HTTP2} http2 backlog=4096;
        location = / {{
            return 200 "ok\\n";
        }}
    }}
}}
"""


def write_files() -> None:
    """What servers serve and clients send."""
    _BODIES.mkdir(parents=True, exist_ok=True)
    for name, size in BODIES.items():
        (_BODIES / name).write_bytes(b"x" * size)
    MESSAGE.write_bytes(message())


@contextlib.contextmanager
def serving(pod: Pod) -> Iterator[None]:
    """The servers in the pod. To be entered from within its namespace."""
    configuration = _DIRECTORY / f"{pod.namespace}.conf"
    configuration.write_text(nginx_configuration(pod.namespace))
    nginx = ["prlimit", f"--nofile={FILES}", "nginx", "-c", str(configuration)]
    grpc = [str(GRPC_BINARY), "serve", "--listen", f":{GRPC}"]
    with (
        running(f"nginx {pod.namespace}", nginx) as web,
        running(f"grpc {pod.namespace}", grpc) as echo,
    ):
        web.wait_until(partial(listening, HTTP1), _START_SECONDS)
        echo.wait_until(partial(listening, GRPC), _START_SECONDS)
        yield
