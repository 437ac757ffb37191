"""Servers whose certificates change, many handshakes at once, and neither crashes, nor losses, nor sessions that
outlive what they began with."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import grpc
import pytest
from cryptography import x509
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.discovery import server as discovery
from injector.identity import server as identity
from injector.runtime.errors import StartupError
from injector.runtime.renewed import Material, RenewedServer
from tests.discovery.certificates import SERVER_NAME, Root, channel_credentials, material, spiffe
from tests.identity.house import PAUSES, patiently
from tests.identity.world import request
from tests.kube.fake import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from injector.runtime import renewed

AT_ONCE = 100
ROUNDS = 6
SILENT = 200
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def listening(port: int) -> int:
    """Sockets that listen on a port of this machine (proc_net_tcp: the local address, and state 0A)."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return sum(line[3] == "0A" and int(line[1].rpartition(":")[2], 16) == port for line in lines)


async def alone(port: int) -> None:
    """Return once the old server has left: gRPC takes its socket away in a thread of its own."""
    await until(lambda: listening(port) == 1, seconds=30)


@dataclass
class Served:
    """A server in another process (`tests.runtime.served`)."""

    process: subprocess.Popen[str]
    port: int = 0
    chain: str = ""
    roots: str = ""
    key: str = ""
    certificate: str = ""

    async def listen(self) -> None:
        assert self.process.stdout
        line = await asyncio.to_thread(self.process.stdout.readline)
        for name, value in json.loads(line).items():
            setattr(self, name, value)

    async def renew(self, what: str = "certificate") -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        await self.listen()
        await alone(self.port)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def channel(self) -> aio.Channel:
        pair = self.key.encode(), self.certificate.encode()
        credentials = grpc.ssl_channel_credentials(self.roots.encode(), *pair)
        options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
        return aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options)

    async def certify(self, token: str) -> pb.CertifyResponse:
        async with self.channel() as channel:
            call: Any = channel.unary_unary(
                methods.CERTIFY,
                request_serializer=pb.CertifyRequest.SerializeToString,
                response_deserializer=pb.CertifyResponse.FromString,
            )
            csr = request(["spiffe://cluster.local/ns/shop/sa/web"])
            answer: pb.CertifyResponse = await call(pb.CertifyRequest(token=token, csr=csr), timeout=10)
            return answer


@asynccontextmanager
async def serving(part: str) -> AsyncIterator[Served]:
    command = [sys.executable, "-m", "tests.runtime.served", part]
    # Not asyncio's: its lines come by a thread, and a server that has crashed is found by `poll`.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
        try:
            served = Served(process)
            await served.listen()
            yield served
        finally:
            process.kill()


def careless(served: Served, directory: Path) -> ssl.SSLContext:
    """A client that shows its certificate and believes anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    file = directory / "client.pem"
    file.write_text(served.key + served.certificate)
    context.load_cert_chain(file)
    return context


async def shake(port: int, context: ssl.SSLContext | None) -> bool:
    """Connect, be greeted by HTTP/2, and go; without a context, in silence. Whether it came to that."""
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            if context is None:
                await asyncio.sleep(0.1)
            else:
                writer.write(PREFACE)
                await reader.readexactly(9)
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return True


async def shake_again(port: int, context: ssl.SSLContext) -> bool:
    """The same, again and again as proxies do: the old server may have taken a connection, or two, and left."""
    for pause in PAUSES:
        if await shake(port, context):
            return True
        await asyncio.sleep(pause)
    return await shake(port, context)


@pytest.mark.parametrize("part", ["identity", "discovery"])
async def test_many_handshakes_at_once_end_no_server(part: str, tmp_path: Path) -> None:
    async with serving(part) as served:
        context = careless(served, tmp_path)
        for _ in range(ROUNDS):
            silent = asyncio.gather(*(shake(served.port, None) for _ in range(SILENT)))
            made = await asyncio.gather(*(shake(served.port, context) for _ in range(AT_ONCE)))
            await silent
            assert served.alive, "the server has crashed"
            assert all(made)


@pytest.mark.parametrize("part", ["identity", "discovery"])
async def test_certificates_may_change_in_the_midst_of_many_handshakes(part: str, tmp_path: Path) -> None:
    async with serving(part) as served:
        context = careless(served, tmp_path)
        for _ in range(ROUNDS):
            silent = asyncio.gather(*(shake(served.port, None) for _ in range(SILENT)))
            shaking = asyncio.gather(*(shake_again(served.port, context) for _ in range(AT_ONCE)))
            await asyncio.sleep(0.05)
            await served.renew()
            made = await shaking
            await silent
            assert served.alive, "the server has crashed"
            assert all(made)


async def test_no_call_is_lost_by_a_renewal_that_is_tried_again() -> None:
    async with serving("identity") as served:
        done, ended = 0, asyncio.Event()

        async def pods(worker: int) -> None:
            nonlocal done
            number = 0
            while not ended.is_set():
                token = f"{worker}-{number}"
                await patiently(lambda token=token: served.certify(token))  # type: ignore[misc]
                done, number = done + 1, number + 1

        async def more() -> None:
            enough = done + 60
            await until(lambda: done > enough, seconds=30)

        async with asyncio.TaskGroup() as group:
            for worker in range(20):
                group.create_task(pods(worker))
            for _ in range(5):
                await more()
                await served.renew()
            await more()
            ended.set()
        assert served.alive


@pytest.mark.parametrize("options", [identity.OPTIONS, discovery.OPTIONS], ids=["identity", "discovery"])
def test_a_port_has_a_bound_for_everything_that_strangers_can_open(options: renewed.Options) -> None:
    names = dict(options)
    assert names["grpc.max_allowed_incoming_connections"] > 0
    assert names["grpc.server_handshake_timeout_ms"] == 10_000
    assert names["grpc.max_connection_idle_ms"] <= 60_000


# In this process: what an exchange leaves behind, and what it does not.


class Echo:
    """Answers with what was asked, once `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.left: list[float] = []
        self.arrived = 0

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        handler: Any = grpc.unary_unary_rpc_method_handler(self._answer)
        return (grpc.method_handlers_generic_handler("test", {"Echo": handler}),)

    def leave(self, seconds: float) -> None:
        self.left.append(seconds)

    async def _answer(self, asked: bytes, _: Any) -> bytes:
        self.arrived += 1
        await self.go.wait()
        return asked


@dataclass
class Port:
    """A server of this process, and what it was made of."""

    made: list[Echo]
    server: RenewedServer[Echo]

    @property
    def number(self) -> int:
        return self.server.port

    async def serve(self, what: Material) -> int:
        assert await self.server.serve(what)
        return self.number

    async def echo(self, root: Root, leaf: Any = None) -> bytes:
        credentials = channel_credentials(root, leaf or root.pod("shop", "web"))
        options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
        async with aio.secure_channel(f"127.0.0.1:{self.number}", credentials, options) as channel:
            call: Any = channel.unary_unary("/test/Echo")
            answer: bytes = await call(b"hello", timeout=10)
            return answer


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    made: list[Echo] = []

    def make() -> Echo:
        made.append(Echo())
        return made[-1]

    server = RenewedServer("127.0.0.1", 0, (), make, 5.0)
    yield Port(made, server)
    await server.stop(0)


async def test_a_call_in_progress_ends_on_the_server_that_took_it(port: Port) -> None:
    old, new = Root(), Root()
    await port.serve(material(old))
    first = asyncio.create_task(port.echo(old))
    await until(lambda: port.made[0].arrived == 1)
    number = port.number
    await port.serve(material(new))
    assert port.number == number
    assert port.server.calls == port.made
    await alone(port.number)

    port.made[1].go.set()
    assert await port.echo(new) == b"hello"
    with pytest.raises(aio.AioRpcError):  # nobody believes the old root any more
        await port.echo(old)
    assert not first.done()
    port.made[0].go.set()
    assert await first == b"hello"
    assert port.made[0].left == [5.0]
    await until(lambda: port.server.calls == port.made[1:])


async def test_the_same_again_exchanges_nothing(port: Port) -> None:
    served = material(Root())
    for _ in range(3):
        await port.serve(served)
    assert len(port.made) == 1


async def test_after_its_end_it_does_not_come_back(port: Port) -> None:
    number = await port.serve(material(Root()))
    await port.server.stop(0)
    assert not await port.server.serve(material(Root()))
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", number), 5):
        pass


async def test_nobody_shares_a_port_without_knowing(port: Port) -> None:
    number = await port.serve(material(Root()))
    other = RenewedServer("127.0.0.1", number, (), Echo, 5.0)
    with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{number}"):
        await other.serve(material(Root()))


async def test_what_cannot_be_exchanged_goes_on_and_may_be_tried_again(port: Port) -> None:
    old, new = Root(), Root()
    await port.serve(material(old))
    port.made[0].go.set()
    assert not await port.server.serve(material(old)._replace(chain=b"nothing"))
    assert await port.echo(old) == b"hello"

    await port.serve(material(new))
    await alone(port.number)
    port.made[-1].go.set()
    assert await port.echo(new) == b"hello"
    await until(lambda: port.server.calls == port.made[-1:])


async def greeted(port: int, context: ssl.SSLContext) -> asyncio.StreamWriter:
    """A connection that HTTP/2 has begun on, and stays."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(PREFACE)
    await reader.readexactly(9)
    return writer


async def test_no_more_connections_than_may_be(tmp_path: Path) -> None:
    root = Root()
    server = RenewedServer("127.0.0.1", 0, (("grpc.max_allowed_incoming_connections", 2),), Echo, 5.0)
    await server.serve(material(root))
    leaf = root.pod("shop", "web")
    context = careless(
        Served(Mock(), server.port, key=leaf.key.decode(), certificate=leaf.certificate.decode()), tmp_path
    )
    opened = [await greeted(server.port, context) for _ in range(2)]
    assert not await shake(server.port, context)

    opened[0].transport.abort()  # at once: TLS says goodbye for most of a second
    assert await shake_again(server.port, context)
    opened[1].transport.abort()
    await server.stop(0)


def test_a_key_is_in_no_repr() -> None:
    assert "secret" not in repr(Material(b"secret", b"chain", b"roots"))


def resumed(number: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
    """Whether a new connection resumed this session, and what it could be resumed by."""
    with (
        socket.create_connection(("127.0.0.1", number), 5) as tcp,
        context.wrap_socket(tcp, server_hostname=SERVER_NAME, session=session) as tls,
    ):
        tls.sendall(PREFACE)
        assert tls.recv(9), "the certificate was not accepted"
        return bool(tls.session_reused), tls.session


async def test_a_session_ends_with_the_server_that_began_it(port: Port, tmp_path: Path) -> None:
    """With the same roots: its certificate alone is another one. So it is the keys of the tickets that are gone."""
    root = Root()
    number = await port.serve(material(root))
    leaf = root.leaf([spiffe("shop", "web")])
    (tmp_path / "pair.pem").write_bytes(leaf.key + leaf.certificate)
    context = ssl.create_default_context(cadata=root.pem.decode())
    context.load_cert_chain(tmp_path / "pair.pem")
    context.set_alpn_protocols(["h2"])

    _, session = await asyncio.to_thread(resumed, number, context, None)
    again, session = await asyncio.to_thread(resumed, number, context, session)
    assert again, "without resumption there is nothing to show"
    await port.serve(material(root))
    await alone(number)
    assert not (await asyncio.to_thread(resumed, number, context, session))[0]


async def seen(served: Served, directory: Path) -> x509.Certificate:
    """The certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=careless(served, directory))
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der)


async def test_who_connects_after_a_renewal_sees_the_new_certificate(tmp_path: Path) -> None:
    async with serving("discovery") as served:
        for what in ("certificate", "roots", "certificate"):
            await served.renew(what)
            assert await seen(served, tmp_path) == x509.load_pem_x509_certificate(served.chain.encode())
