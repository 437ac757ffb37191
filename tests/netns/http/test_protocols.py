"""What is not HTTP, with nothing said about it: clients that speak first, servers that do, and TLS of one's own."""

import shutil
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.netns.http import apps
from tests.netns.http.pair import SERVICE, Pair
from tests.netns.http.servers import answering, tls_echo

pytestmark = pytest.mark.netns

REDIS, MARIADB, POSTGRES, SMTP, TLS = 6379, 3306, 5432, 2525, 8443


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that a server may enter that gave up being root."""
    path = tmp_path_factory.mktemp("server")
    for each in (path, *list(path.parents)[:2]):
        each.chmod(0o755)
    return path


def test_redis(pair: Pair, folder: Path) -> None:
    server = ("redis-server", "--port", str(REDIS), "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "")
    with apps.running(pair.server, *server, "--dir", folder, port=REDIS):
        client = ("redis-cli", "-h", SERVICE)
        assert pair.client.execute(*client, "set", "key", "value").stdout == "OK\n"
        assert pair.client.execute(*client, "get", "key").stdout == "value\n"
        many = pair.client.execute("redis-benchmark", "-h", SERVICE, "-n", "2000", "-P", "16", "-t", "get", "-q").stdout
        assert "requests per second" in many


def test_mariadb(pair: Pair, folder: Path) -> None:
    data = folder / "data"
    install = ("mariadb-install-db", "--no-defaults", "--user=mysql", "--skip-test-db", f"--datadir={data}")
    subprocess.run(install, check=True, capture_output=True, timeout=60)
    allow = folder / "allow.sql"
    allow.write_text("CREATE USER shop@'%' IDENTIFIED BY 'secret';\n")
    server = ("mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}", f"--socket={data}/socket")
    with apps.running(pair.server, *server, f"--init-file={allow}", "--skip-name-resolve", port=MARIADB):
        client = ("mariadb", "--no-defaults", "-h", SERVICE, "-ushop", "-psecret", "-N", "-e")
        assert pair.client.execute(*client, "SELECT 6 * 7").stdout == "42\n"
        long = pair.client.execute(*client, "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('x', 1000000)").stdout
        assert long == f"1000000\t{'x' * 1_000_000}\n"


def test_postgresql(pair: Pair, folder: Path) -> None:
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    data = folder / "data"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    initialise = (binaries / "initdb", "-D", data, "--auth=trust", "--no-sync", "-U", "postgres")
    subprocess.run(initialise, check=True, capture_output=True, timeout=60, user="postgres", cwd="/tmp")
    with (data / "pg_hba.conf").open("a") as hba:
        hba.write("host all all 0.0.0.0/0 trust\n")
    server = (binaries / "postgres", "-D", data, "-k", data, "-c", "listen_addresses=*", "-c", "fsync=off")
    with apps.running(pair.server, *server, port=POSTGRES, user="postgres"):
        client = ("psql", "-h", SERVICE, "-U", "postgres", "-At", "-c")
        assert pair.client.execute(*client, "SELECT 6 * 7").stdout == "42\n"
        assert len(pair.client.execute(*client, "SELECT repeat('x', 1000000)").stdout) == 1_000_001


def test_smtp(pair: Pair) -> None:
    with answering(pair.server, SMTP) as mails:

        def send() -> None:
            with smtplib.SMTP(SERVICE, SMTP, timeout=10) as client:
                client.sendmail("a@shop", ["b@shop"], "Subject: hello\r\n\r\nGET / HTTP/1.1\r\n")

        pair.client.inside(send)
    assert len(mails) == 1
    assert b"GET / HTTP/1.1" in mails[0]


def test_an_applications_own_tls(pair: Pair, tmp_path: Path) -> None:
    """End to end: the certificate that the client sees is the application's."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", key, "-out", certificate, "-subj", "/CN=web.shop", "-addext", "subjectAltName=DNS:web.shop")
    subprocess.run([*words, *files], check=True, capture_output=True, timeout=20)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = ssl.create_default_context(cafile=certificate)
    client.set_alpn_protocols(["h2", "http/1.1"])
    with tls_echo(pair.server, TLS, server), handshaken(pair, client) as stream:
        assert stream.selected_alpn_protocol() == "h2"
        for said in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"x" * 300_000):
            stream.sendall(said)
            heard = b""
            while len(heard) < len(said):
                heard += stream.recv(65536)
            assert heard == said


@contextmanager
def handshaken(pair: Pair, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        pair.client.connect(SERVICE, TLS) as plain,
        context.wrap_socket(plain, server_hostname="web.shop") as stream,
    ):
        yield stream


def test_bytes_that_begin_like_nothing_known(pair: Pair) -> None:
    """And come one by one, with less than the detection's patience between them."""
    said = b"\x00\x01GETTING SOMEWHERE\r\n\r\n"
    with pair.server.echo(pair.server.v4, port=TLS), pair.client.connect(SERVICE, TLS) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in said:
            stream.sendall(bytes([byte]))
            assert stream.recv(1) == bytes([byte])
