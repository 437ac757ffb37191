"""A gRPC server and its client, of grpcio, as programs: gRPC's own threads stay in the namespace that they began in.

Messages are bytes: what they mean is nobody's business on the way.
usage: python -m tests.netns.http.grpc_peer serve ADDRESS NAME | call TARGET CALL
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, Final

import grpc

SERVICE: Final = "test.Echo"
LARGE: Final = 4 * 1024 * 1024
PATIENCE: Final = 20.0
STREAMS: Final = 100
OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

Context = grpc.ServicerContext
Messages = Iterator[bytes]


class Echo:
    """Each method is one of the four kinds of call, or one way to go wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = 0

    def unary(self, message: bytes, context: Context) -> bytes:
        metadata = context.invocation_metadata() or ()
        said = [(key, value) for key, value in metadata if str(key).startswith("x-")]
        context.send_initial_metadata((("x-first", "1"), *said))
        context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\0\xff")))
        return message

    def who(self, _message: bytes, _context: Context) -> bytes:
        return self.name.encode()

    def fail(self, _message: bytes, context: Context) -> bytes:
        """Nothing but a head that says so (Trailers-Only)."""
        context.set_trailing_metadata((("x-why", "asked to"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100 % für ü")
        raise AssertionError("abort raises")

    def slow(self, message: bytes, context: Context) -> bytes:
        """Waits until its caller is gone."""
        while context.is_active():
            time.sleep(0.005)
        self.cancelled += 1
        return message

    def how_many_cancelled(self, _message: bytes, _context: Context) -> bytes:
        return str(self.cancelled).encode()

    def down(self, message: bytes, _context: Context) -> Messages:
        for number in range(50):
            yield message + str(number).encode()

    def up(self, messages: Messages, _context: Context) -> bytes:
        return b",".join(messages)

    def both(self, messages: Messages, _context: Context) -> Messages:
        for message in messages:
            yield message.upper()

    def linger(self, messages: Messages, context: Context) -> Messages:
        """Answers at once, hears its caller to the end, and waits until it is gone."""
        yield b"here"
        for _ in messages:
            pass
        self.slow(b"", context)

    def deaf(self, _messages: Messages, context: Context) -> bytes:
        """Takes nothing of what it is told."""
        return self.slow(b"", context)

    def handler(self) -> grpc.GenericRpcHandler:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods: dict[str, Any] = {
            **{name: unary(getattr(self, name)) for name in ("unary", "who", "fail", "slow", "how_many_cancelled")},
            "down": stream(self.down),
            "up": grpc.stream_unary_rpc_method_handler(self.up),
            "deaf": grpc.stream_unary_rpc_method_handler(self.deaf),
            "linger": grpc.stream_stream_rpc_method_handler(self.linger),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


def serve(at: str, name: str) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=STREAMS + 10), options=OPTIONS)
    server.add_generic_rpc_handlers((Echo(name).handler(),))
    assert server.add_insecure_port(at), f"cannot listen at {at}"
    server.start()
    server.wait_for_termination()


def one_call_of_each_kind(channel: grpc.Channel) -> None:
    assert _unary(channel, "unary")(b"hello", timeout=PATIENCE) == b"hello"
    assert list(_stub(channel.unary_stream, "down")(b"n", timeout=PATIENCE)) == [b"n%d" % each for each in range(50)]
    assert _stub(channel.stream_unary, "up")(iter([b"a", b"b"]), timeout=PATIENCE) == b"a,b"
    assert list(_stub(channel.stream_stream, "both")(iter([b"a", b"b"]), timeout=PATIENCE)) == [b"A", b"B"]


def a_conversation_is_answered_message_by_message(channel: grpc.Channel) -> None:
    """The next is said when the one before is answered: nothing may wait for more."""
    answers: list[bytes] = []

    def said() -> Messages:
        for number in range(20):
            while len(answers) < number:
                time.sleep(0.001)
            yield b"message %d" % number

    for answer in _stub(channel.stream_stream, "both")(said(), timeout=PATIENCE):
        answers.append(answer)
    assert answers == [b"MESSAGE %d" % number for number in range(20)]


def metadata_goes_both_ways(channel: grpc.Channel) -> None:
    sent = (("x-text", "a, b"), ("x-twice", "1"), ("x-twice", "2"), ("x-raw-bin", bytes(range(256))))
    _, call = _unary(channel, "unary").with_call(b"", metadata=sent, timeout=PATIENCE)
    first = [(key, value) for key, value in call.initial_metadata() if key.startswith("x-")]
    assert sorted(first, key=repr) == sorted([*sent, ("x-first", "1")], key=repr), first
    last = [tuple(each) for each in call.trailing_metadata()]
    assert last == [("x-last", "2"), ("x-last-bin", b"\0\xff")], last


def an_error_without_a_body_is_told(channel: grpc.Channel) -> None:
    error = _error(lambda: _unary(channel, "fail")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "as asked: 100 % für ü"
    assert ("x-why", "asked to") in [tuple(each) for each in error.trailing_metadata()]
    unknown = _error(lambda: _unary(channel, "nothing")(b"", timeout=PATIENCE))
    assert unknown.code() == grpc.StatusCode.UNIMPLEMENTED, unknown


def a_deadline_ends_the_call_at_both_ends(channel: grpc.Channel) -> None:
    begin = time.monotonic()
    error = _error(lambda: _unary(channel, "slow")(b"", timeout=0.2))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - begin < 2
    _wait_cancelled(channel)


def a_cancelled_call_ends_at_the_server(channel: grpc.Channel) -> None:
    before = _cancelled(channel)
    call = _unary(channel, "slow").future(b"", timeout=PATIENCE)
    time.sleep(0.1)
    assert call.cancel()
    _wait_cancelled(channel, more_than=before)


def a_conversation_whose_caller_has_said_all_may_be_cancelled(channel: grpc.Channel) -> None:
    before = _cancelled(channel)
    call = _stub(channel.stream_stream, "linger")(iter([b"all"]), timeout=PATIENCE)
    assert next(call) == b"here"
    time.sleep(0.1)
    call.cancel()
    _wait_cancelled(channel, more_than=before)


def an_upload_that_nobody_takes_may_be_cancelled(channel: grpc.Channel) -> None:
    before = _cancelled(channel)

    def much() -> Messages:
        while True:
            yield bytes(1024 * 1024)

    call = _stub(channel.stream_unary, "deaf").future(much(), timeout=PATIENCE)
    time.sleep(0.5)
    assert call.cancel()
    _wait_cancelled(channel, more_than=before)


def large_messages_go_both_ways(channel: grpc.Channel) -> None:
    message = bytes(range(256)) * (LARGE // 256)
    for _ in range(3):
        assert _unary(channel, "unary")(message, timeout=PATIENCE) == message
    assert list(_stub(channel.stream_stream, "both")(iter([message] * 3), timeout=PATIENCE)) == [message.upper()] * 3


def a_hundred_streams_are_open_at_once(channel: grpc.Channel) -> None:
    """Each says its second message when all have got the first one's answer."""
    with futures.ThreadPoolExecutor(max_workers=STREAMS) as threads:
        answered: set[int] = set()

        def converse(number: int) -> list[bytes]:
            def said() -> Messages:
                yield b"first %d" % number
                while len(answered) < STREAMS:
                    time.sleep(0.005)
                yield b"second %d" % number

            heard = []
            for answer in _stub(channel.stream_stream, "both")(said(), timeout=PATIENCE):
                heard.append(answer)
                answered.add(number)
            return heard

        for number, heard in enumerate(threads.map(converse, range(STREAMS))):
            assert heard == [b"FIRST %d" % number, b"SECOND %d" % number]


def names(channel: grpc.Channel) -> None:
    """Not a test: prints who answered each of a hundred calls."""
    for _ in range(100):
        print(_unary(channel, "who")(b"", timeout=PATIENCE).decode())


def is_unavailable(channel: grpc.Channel) -> None:
    """Not one of the tests of a living server: prints what the proxy says of a dead one."""
    error = _error(lambda: _unary(channel, "who")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    for key, value in (*error.initial_metadata(), *error.trailing_metadata()):
        print(f"{key}: {value}")


def is_denied(channel: grpc.Channel) -> None:
    """Not one of the tests either: the server's proxy does not let us in."""
    error = _error(lambda: _unary(channel, "who")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED, error


CALLS: Final[tuple[Callable[[grpc.Channel], None], ...]] = (
    one_call_of_each_kind,
    a_conversation_is_answered_message_by_message,
    metadata_goes_both_ways,
    an_error_without_a_body_is_told,
    a_deadline_ends_the_call_at_both_ends,
    a_cancelled_call_ends_at_the_server,
    a_conversation_whose_caller_has_said_all_may_be_cancelled,
    an_upload_that_nobody_takes_may_be_cancelled,
    large_messages_go_both_ways,
    a_hundred_streams_are_open_at_once,
)


def _stub(kind: Callable[[str], Any], name: str) -> Any:
    """A method of a kind. Its type says nothing: types-grpcio knows no messages that are plain bytes."""
    return kind(f"/{SERVICE}/{name}")


def _unary(channel: grpc.Channel, name: str) -> Any:
    return _stub(channel.unary_unary, name)


def _error(call: Callable[[], object]) -> Any:
    try:
        answer = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"expected an error, got {answer!r}")


def _cancelled(channel: grpc.Channel) -> int:
    return int(_unary(channel, "how_many_cancelled")(b"", timeout=PATIENCE))


def _wait_cancelled(channel: grpc.Channel, more_than: int = 0) -> None:
    until = time.monotonic() + 5
    while _cancelled(channel) <= more_than:
        assert time.monotonic() < until, "the server's end goes on"
        time.sleep(0.02)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", where, name]:
            serve(where, name)
        case ["call", target, name]:
            with grpc.insecure_channel(target, options=[*OPTIONS, ("grpc.enable_http_proxy", 0)]) as channel:
                {call.__name__: call for call in (*CALLS, names, is_unavailable, is_denied)}[name](channel)
        case arguments:
            sys.exit(f"{__doc__}, got {arguments}")
