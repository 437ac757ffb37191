"""A server whose certificate changes, and many handshakes at once: in a process of its own, for it did crash."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from injector.runtime.credentials import Configurations, Material

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 100
ROUNDS = 6
SILENT = 200

# Serves until its standard input ends; each line there gives it another certificate.
SERVER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta

from injector.pki import issue, make_authority
from injector.runtime.credentials import Material, server_credentials
from grpc import aio

now = datetime.now(UTC)
authority = make_authority(now, timedelta(days=1))

def material():
    pair = issue(authority, ["server.example"], now, timedelta(hours=1))
    return Material(pair.key, pair.certificate.pem, {roots})

async def main():
    held = material()
    server = aio.server()
    port = server.add_secure_port("127.0.0.1:0", server_credentials(lambda: held))
    await server.start()
    print(port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        held = material()
        print("renewed", flush=True)
    await server.stop(0)

asyncio.run(main())
"""


@contextmanager
def serving(roots: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", SERVER.replace("{roots}", roots)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


async def shake(port: int, context: ssl.SSLContext | None) -> bool:
    """Connect and go; without a context, in silence. Whether the connection came about."""
    try:
        async with asyncio.timeout(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            await asyncio.sleep(0.05)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return True


@pytest.mark.parametrize("roots", ["None", "authority.certificate.pem"], ids=["anybody", "only-with-a-certificate"])
async def test_many_handshakes_at_once_end_no_server(roots: str) -> None:
    context = careless()
    with serving(roots) as (process, port):
        assert process.stdin
        assert process.stdout
        for _ in range(ROUNDS):
            made = await asyncio.gather(*(shake(port, context) for _ in range(AT_ONCE)))
            assert process.poll() is None, "the server has crashed"
            assert all(made)
            await asyncio.gather(*(shake(port, None) for _ in range(SILENT)))
            assert process.poll() is None, "the server has crashed"
            process.stdin.write("\n")
            process.stdin.flush()
            assert await asyncio.to_thread(process.stdout.readline) == "renewed\n"


async def test_who_connects_after_a_renewal_sees_the_new_certificate() -> None:
    context = careless()

    async def seen(port: int) -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return certificate

    with serving("None") as (process, port):
        assert process.stdin
        assert process.stdout
        before = await seen(port)
        assert await seen(port) == before
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        assert await seen(port) != before


def test_a_configuration_is_given_once() -> None:
    held = Material(b"key", b"chain", None)
    asked = Configurations(lambda: held)
    # No key at all: what counts is whether one is made.
    with pytest.MonkeyPatch.context() as patch:
        made: list[object] = []

        def make(*given: object) -> object:
            made.append(given)
            return given

        patch.setattr("injector.runtime.credentials.grpc.ssl_server_certificate_configuration", make)
        assert asked.changed() is not None
        assert asked.changed() is None
        held = Material(b"key", b"chain", b"roots")
        assert asked.changed() is not None
        assert asked.changed() is None
    assert made == [([(b"key", b"chain")], None), ([(b"key", b"chain")], b"roots")]
