"""The `Watch` call: one proxy's stream, from its hello to its end.

Reading and writing are two tasks. Everything that takes the one CPU (reading a request, making an answer) is a turn
that the client's namespace has to wait for; sending is not, for a slow reader must hold up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.discovery import peers
from injector.discovery.fleet import Fleet, Proxy, check_hello, check_trust
from injector.discovery.following import Following, Parameters
from injector.discovery.metrics import Reason
from injector.discovery.wire import Malformed, read_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from injector.discovery.board import Board
    from injector.discovery.metrics import DiscoveryMetrics
    from injector.discovery.model import Destination, Identity
    from injector.pace import TokenBucket
    from injector.runtime.turns import Turns

HELLO_SECONDS: Final = 10.0
"""A proxy says hello at once; who has not after this long holds a stream for nothing."""

MOST_IN_SUBSCRIBE: Final = 1024
"""Destinations in one message (the contract)."""

CHUNK: Final = 8
"""Destinations of a request that are looked up in one turn: 8 * 30 µs (a Service of 10 endpoints) = 0.24 ms."""

SLICE_SECONDS: Final = 0.0001
"""What turns may take between two looks at the sockets. An answer is 5 to 30 µs of Python and 100 µs of gRPC: a scan
must not make everybody else wait for more than the answer in progress."""

SENDING_SECONDS: Final = 100e-6
"""CPU that gRPC spends on sending a message after its turn, as measured; it costs the namespace as much as the turn."""

M = TypeVar("M")
T = TypeVar("T")
Context = aio.ServicerContext[bytes, bytes]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all streams share. `parameters` gives a stream's, by its node; `synced` is set once everything was read:
    before that, "not ours" would be a guess; `logged` bounds the rate of log lines about refusals."""

    board: Board
    fleet: Fleet
    turns: Turns
    metrics: DiscoveryMetrics
    trust_domain: str
    parameters: Callable[[str], Parameters]
    synced: asyncio.Event
    logged: TokenBucket


class Refused(Exception):  # noqa: N818 - a condition, read as such in an except clause
    """The stream cannot go on: the status that the client gets, and the reason that is counted."""

    def __init__(self, code: grpc.StatusCode, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


_DENIED: Final = grpc.StatusCode.PERMISSION_DENIED
_INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT


class Watch:
    """One call."""

    def __init__(self, shared: Surroundings, context: Context) -> None:
        self._shared = shared
        self._context = context
        self._clock = asyncio.get_running_loop().time
        self._due = asyncio.Event()
        self._room = asyncio.Event()
        self._ended: Exception | None = None
        self._leaving = False
        self._following = Following(shared.board, shared.metrics, self._clock, self._due.set)
        self._parameters: Parameters | None = None
        self._proxy: Proxy | None = None

    async def run(self) -> tuple[grpc.StatusCode, str] | None:
        """The whole call. What is refused is counted and logged, and is the status that the call has to end in. Whoever
        ends it must not know this object: gRPC keeps the exception of an abort, and that the frames it went through."""
        try:
            await self._run()
        except Refused as refused:
            self._shared.metrics.refused(refused.reason)
            if self._shared.logged.take(self._clock()):
                log.warning("stream refused", peer=self._context.peer(), reason=refused.reason.value, why=str(refused))
            return refused.code, refused.message
        return None

    async def _run(self) -> None:
        identity = peers.identity(self._context.auth_context(), self._shared.trust_domain)
        if identity is None:
            raise Refused(
                _DENIED,
                Reason.NO_IDENTITY,
                f"expected a certificate with one URI, spiffe://{self._shared.trust_domain}/ns/…/sa/…; renew it",
            )
        self._namespace = identity.namespace
        hello = await self._hello(identity)
        await self._shared.synced.wait()
        if not self._shared.fleet.has_room(identity.namespace):
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY_STREAMS,
                f"namespace {identity.namespace} has more streams open than twice its meshed pods",
            )
        self._proxy = proxy = Proxy(identity, hello, self._replaced)
        before = self._shared.fleet.join(proxy)
        if before is not None:
            before.leave()
        reading = asyncio.create_task(self._read(proxy))
        try:
            self.refresh_parameters()
            await self._write()
        finally:
            reading.cancel()
            self._shared.fleet.part(proxy)
            self._following.close()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            # These know this call, too: nothing is left to the garbage collector.
            self._proxy = None
            del self._ended

    async def _hello(self, identity: Identity) -> pb.Hello:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                data: Any = await self._context.read()
        except TimeoutError:
            raise Refused(_INVALID, Reason.HELLO_TOO_LATE, f"expected hello within {HELLO_SECONDS:.0f} s") from None
        request = pb.WatchRequest() if data is aio.EOF else _parse(data)
        kind = request.WhichOneof("message")
        if kind != "hello":
            raise Refused(_INVALID, Reason.NO_HELLO, f"the first message: expected hello, got {kind or 'nothing'}")
        hello = request.hello
        said = (hello.namespace, hello.service_account)
        if said != tuple(identity):
            raise Refused(
                _DENIED,
                Reason.WRONG_IDENTITY,
                f"hello: expected {'/'.join(identity)}, as the certificate says, got {'/'.join(said)[:400]}",
            )
        _checked(check_hello, hello)
        return hello

    # What this stream is told by others.

    def refresh_parameters(self) -> None:
        """Tell the proxy its parameters, if zone or issuer are not what it was told last. One that has not said hello
        is told when it has."""
        if self._proxy is None:
            return
        parameters, told = self._shared.parameters(self._proxy.hello.node), self._parameters
        if told is None or (parameters.zone, parameters.issuer) != (told.zone, told.issuer):
            self._parameters = parameters
            self._following.tell(parameters)

    def leave(self) -> None:
        """End the stream in peace: the proxy comes back, to this replica or another."""
        self._leaving = True
        self._due.set()

    def _replaced(self) -> None:
        self._end(Refused(grpc.StatusCode.ABORTED, Reason.REPLACED, "the same pod has opened another stream"))

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        self._due.set()

    # The two directions.

    async def _write(self) -> None:
        """Send what is due, until the stream is to end."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._following.owes and not self._leaving and self._ended is None:
                message = await self._shared.turns.run(self._namespace, self._following.next, also=SENDING_SECONDS)
                if message is not None:  # what was due may have been unsubscribed meanwhile
                    await self._context.write(message)
                if not self._following.owes_much:
                    self._room.set()
            if self._ended is not None:
                raise self._ended
            if self._leaving:
                return

    async def _read(self, proxy: Proxy) -> None:
        """Take requests until the client has no more; what is wrong with one ends the stream."""
        try:
            while (request := await self._next_request()) is not None:
                await self._take(proxy, request)
            self.leave()
        except Exception as error:
            self._end(error)

    async def _next_request(self) -> pb.WatchRequest | None:
        data: Any = await self._context.read()
        return None if data is aio.EOF else await self._shared.turns.run(self._namespace, partial(_parse, data))

    async def _take(self, proxy: Proxy, request: pb.WatchRequest) -> None:
        match request.WhichOneof("message"):
            case "subscribe":
                await self._subscriptions(request.subscribe.destinations, self._following.subscribe)
            case "unsubscribe":
                await self._subscriptions(request.unsubscribe.destinations, self._following.unsubscribe)
            case "acknowledge":
                await self._in_chunks(request.acknowledge.versions, self._acknowledge)
            case "trust":
                _checked(check_trust, request.trust)
                proxy.trust = request.trust
            case "hello":
                raise Refused(_INVALID, Reason.MALFORMED, "expected one hello in a stream, got another")
            case None:
                pass  # a member of the oneof that a newer proxy knows

    async def _subscriptions(self, addresses: Sequence[pb.Address], work: Callable[[list[Destination]], None]) -> None:
        def each(chunk: Sequence[pb.Address]) -> None:
            work([_checked(read_address, address) for address in chunk])

        await self._in_chunks(addresses, each)

    async def _in_chunks(self, named: Sequence[M], work: Callable[[Sequence[M]], None]) -> None:
        """Do the work on what a message names, some at a time, each of them a turn."""
        if len(named) > MOST_IN_SUBSCRIBE:
            message = f"expected at most {MOST_IN_SUBSCRIBE} destinations in a message, got {len(named)}"
            raise Refused(_INVALID, Reason.MALFORMED, message)
        for start in range(0, len(named), CHUNK):
            while self._following.owes_much:
                self._room.clear()
                await self._room.wait()
            await self._shared.turns.run(self._namespace, partial(work, named[start : start + CHUNK]))

    def _acknowledge(self, versions: Sequence[pb.Acknowledge.Version]) -> None:
        for entry in versions:
            self._following.acknowledge(_checked(read_address, entry.address), entry.version)


def _parse(data: bytes) -> pb.WatchRequest:
    try:
        return pb.WatchRequest.FromString(data)
    except DecodeError as error:
        raise Refused(_INVALID, Reason.MALFORMED, f"expected a WatchRequest, got {len(data)} bytes of else") from error


def _checked(check: Callable[[M], T], message: M) -> T:
    try:
        return check(message)
    except Malformed as error:
        raise Refused(_INVALID, Reason.MALFORMED, str(error)) from error
