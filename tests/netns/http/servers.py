"""Two small servers: one that speaks first, and one that speaks TLS of its own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.netns.http.wire import Stream
from tests.netns.pods import Pod, _listen


@contextmanager
def answering(pod: Pod, port: int) -> Iterator[list[bytes]]:
    """Enough of SMTP (RFC 5321) to take mails, which the list then has. It greets whoever comes."""
    mails: list[bytes] = []
    with accepting(pod, port, lambda connection: _take_mails(Stream(connection), mails)):
        yield mails


def _take_mails(stream: Stream, mails: list[bytes]) -> None:
    stream.send(b"220 mail.shop ESMTP\r\n")
    while verb := stream.line()[:4].upper():
        if verb == b"DATA":
            stream.send(b"354 go ahead\r\n")
            mail = []
            while (line := stream.line()) != b".":
                mail.append(line)
            mails.append(b"\r\n".join(mail))
        stream.send(b"221 bye\r\n" if verb == b"QUIT" else b"250 well\r\n")
        if verb == b"QUIT":
            return


@contextmanager
def tls_echo(pod: Pod, port: int, context: ssl.SSLContext) -> Iterator[None]:
    """Returns what it decrypts."""

    def echo(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as stream:
            while said := stream.recv(65536):
                stream.sendall(said)

    with accepting(pod, port, echo):
        yield


@contextmanager
def accepting(pod: Pod, port: int, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serves each connection on a thread."""
    listener = pod.inside(_listen, pod.v4, port)

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(20)
            serve(connection)

    def accept() -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
