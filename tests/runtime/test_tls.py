"""TLS 1.3 and nothing older, whoever imports what first: in processes of their own, for gRPC decides once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A server with an ECDSA certificate, and a client that speaks TLS 1.2 and nothing newer.
SERVE = """
import socket, ssl, threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
from injector.pki import issue, make_authority

now = datetime.now(UTC)
authority = make_authority(now, timedelta(days=1))
pair = issue(authority, ["server.example"], now, timedelta(hours=1))
server = grpc.server(ThreadPoolExecutor(1))
port = server.add_secure_port(
    "127.0.0.1:0", grpc.ssl_server_credentials([(pair.key, pair.certificate.pem)])
)
server.start()
context = ssl.create_default_context(cadata=authority.certificate.pem.decode())
context.maximum_version = ssl.TLSVersion.{version}
context.set_alpn_protocols(["h2"])
try:
    with socket.create_connection(("127.0.0.1", port), 5) as tcp:
        with context.wrap_socket(tcp, server_hostname="server.example") as tls:
            print(tls.version())
except (ssl.SSLError, ConnectionError):
    print("refused")
server.stop(0)
"""


def run(text: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "GRPC_SSL_CIPHER_SUITES"}
    words = [sys.executable, "-c", text]
    done = subprocess.run(words, env=clean, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize(("version", "expected"), [("TLSv1_2", "refused"), ("TLSv1_3", "TLSv1.3")])
def test_a_process_that_imports_injector_first_speaks_1_3_alone(version: str, expected: str) -> None:
    assert run("import injector\n" + SERVE.replace("{version}", version)) == expected


def test_without_it_grpc_would_speak_1_2() -> None:
    """Else the test above would show nothing."""
    assert run(SERVE.replace("{version}", "TLSv1_2")) == "TLSv1.2"


def test_a_process_that_imports_grpc_first_does_not_start() -> None:
    said = run("import grpc\nfrom injector.runtime.tls import insist_on_tls_1_3\ninsist_on_tls_1_3()")
    assert "import injector first" in said
