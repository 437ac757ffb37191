"""Probes through the whole binary, where redirection would make every connect succeed."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.netns.pods import Pod, rules

pytestmark = pytest.mark.netns


class Application(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def application(pod: Pod, address: str) -> Iterator[None]:
    server = pod.inside(ThreadingHTTPServer, (address, 8080), Application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


PROBES = [
    {"path": "/probes/web/livenessProbe", "handler": {"httpGet": {"path": "/healthz", "port": "http"}}},
    {"path": "/probes/web/readinessProbe", "handler": {"httpGet": {"path": "/broken", "port": 8080}}},
    {"path": "/probes/web/startupProbe", "handler": {"tcpSocket": {"port": 8080}}},
    {"path": "/probes/named/livenessProbe", "handler": {"httpGet": {"host": "localhost", "path": "/healthz"}}},
]


def test_a_dead_application_fails_and_a_living_one_passes(client: Pod, server: Pod) -> None:
    declared = json.dumps([{"port": 8080, "timeoutSeconds": 1, **probe} for probe in PROBES])
    assert server.init(rules()).returncode == 0
    with server.proxy(INJECTOR_PROBES=declared) as proxy:
        paths = [str(probe["path"]) for probe in PROBES]
        assert [proxy.status(path) for path in paths] == [503, 503, 503, 503]
        with application(server, server.v4):
            assert [proxy.status(path) for path in paths] == [200, 503, 200, 503]
        with application(server, "127.0.0.1"):
            # Only localhost listens: the pod's own address is what the kubelet would ask.
            assert [proxy.status(path) for path in paths] == [503, 503, 503, 200]
        assert proxy.status("/probes/web/other") == 404
        assert proxy.metric("probes_total", kind="http", result="passed") == 2
        assert proxy.metric("probes_total", kind="tcp", result="failed") == 2
        assert proxy.metric("tcp_connections_total") == 0, "probes are not the pod's traffic"
