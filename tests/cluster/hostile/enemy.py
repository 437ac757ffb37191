"""What an enemy sends to the webhook. Runs inside a pod (`python -c`): one file, with the standard library alone.

say NAME                       one of WORDS, over one connection; prints how it was answered
flood SECONDS NAMESPACE        everything at once, from hundreds of connections; prints how often each answer came
"""

import json
import select
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

WEBHOOK = ("injector-webhook.injector-system.svc", 443)
PATIENCE_SECONDS = 15.0
CHUNK = 64 * 1024
MEGABYTE = 1_000_000


def connect(*, encrypted: bool = True) -> socket.socket:
    plain = socket.create_connection(WEBHOOK, timeout=PATIENCE_SECONDS)
    if not encrypted:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def exchange(connection: socket.socket, parts: Iterator[bytes], pause: float = 0.0) -> tuple[bytes, int]:
    """Send part after part until there is an answer: the answer (empty where it was closed) and the bytes sent."""
    sent = 0
    try:
        for part in parts:
            if select.select([connection], [], [], pause)[0]:
                break
            connection.sendall(part)
            sent += len(part)
        return answered(connection), sent
    except OSError:
        return b"", sent


def answered(connection: socket.socket) -> bytes:
    """One answer, head and body; what there is of it when the connection is closed."""
    data = b""
    while chunk := connection.recv(CHUNK):
        data += chunk
        head, end, body = data.partition(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        if end and len(body) >= int(length):
            break
    return data


def post(body: bytes, path: str = "/mutate/pods", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: webhook\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def review(reviewed: object, **changed: object) -> bytes:
    request = {
        "uid": "0e3a",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "default",
        "operation": "CREATE",
        "object": reviewed,
        **changed,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def pod(size: int) -> dict[str, object]:
    """A pod of about that many bytes, each of them to be looked at: containers with ports, probes and environment."""
    probe = {"livenessProbe": {"httpGet": {"path": "/live", "port": 8080, "scheme": "HTTP"}}}
    fields = {"image": "x", "ports": [{"containerPort": 8080}], "env": [{"name": "A", "value": "b" * 100}]}
    count = max(1, size // len(json.dumps(fields)))
    containers = [{"name": f"c{index}", **fields, **(probe if index < 500 else {})} for index in range(count)]
    return {"metadata": {"name": "x"}, "spec": {"containers": containers}}


def chunked(total: int) -> Iterator[bytes]:
    """A body whose length is never announced."""
    yield b"POST /mutate/pods HTTP/1.1\r\nHost: webhook\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(total // CHUNK):
        yield b"%x\r\n" % CHUNK + b"[" * CHUNK + b"\r\n"


def announced(total: int) -> Iterator[bytes]:
    yield b"POST /mutate/pods HTTP/1.1\r\nHost: webhook\r\nContent-Length: %d\r\n\r\n" % total
    for _ in range(total // CHUNK):
        yield b"[" * CHUNK


def dribbled(text: bytes, rest: int = 10_000) -> Iterator[bytes]:
    yield text
    for _ in range(rest):
        yield b"x"


def nested(depth: int) -> bytes:
    deep = b"[" * depth + b"]" * depth
    return review({"metadata": {}, "spec": "DEEP"}).replace(b'"DEEP"', deep)


SLOWLY = 0.25
WORDS: dict[str, Callable[[], tuple[bytes, int]]] = {
    "not JSON": lambda: exchange(connect(), iter([post(b"hello")])),
    "an empty body": lambda: exchange(connect(), iter([post(b"")])),
    "a list": lambda: exchange(connect(), iter([post(b"[1, 2]")])),
    "10,000 levels": lambda: exchange(connect(), iter([post(nested(10_000))])),
    "1,000 levels": lambda: exchange(connect(), iter([post(nested(1_000))])),
    "half a review": lambda: exchange(connect(), iter([post(review(pod(500))[:-40])])),
    "no text but bytes": lambda: exchange(connect(), iter([post(b'{"apiVersion": "\xff\xfe"}')])),
    "another kind": lambda: exchange(
        connect(), iter([post(review({}, kind={"group": "", "version": "v1", "kind": "Secret"}))])
    ),
    "another version of the review": lambda: exchange(
        connect(), iter([post(review(pod(500)).replace(b"k8s.io/v1", b"k8s.io/v1beta1"))])
    ),
    "no uid": lambda: exchange(connect(), iter([post(review(pod(500), uid=None))])),
    "no object": lambda: exchange(connect(), iter([post(review(None))])),
    "another path": lambda: exchange(connect(), iter([post(b"{}", path="/metrics")])),
    "another method": lambda: exchange(connect(), iter([post(b"", method="GET")])),
    "100 MB, announced": lambda: exchange(connect(), announced(100 * MEGABYTE)),
    "100 MB, not announced": lambda: exchange(connect(), chunked(100 * MEGABYTE)),
    "1 MB of headers": lambda: exchange(
        connect(), iter([b"POST /mutate/pods HTTP/1.1\r\n"] + [b"X: " + b"y" * 8000 + b"\r\n"] * 125)
    ),
    "no HTTP": lambda: exchange(connect(), iter([b"\x00\x01\x02\x03 what is this\r\n\r\n"])),
    "no TLS": lambda: exchange(connect(encrypted=False), iter([post(review(pod(500)))])),
    "no word after connecting": lambda: exchange(connect(encrypted=False), iter([])),
    "headers, slowly": lambda: exchange(connect(), dribbled(b"POST /mutate/pods HTTP/1.1\r\nX: "), SLOWLY),
    "a body, slowly": lambda: exchange(
        connect(), dribbled(b"POST /mutate/pods HTTP/1.1\r\nHost: webhook\r\nContent-Length: 5000\r\n\r\n"), SLOWLY
    ),
    "a second request before the first answer": lambda: exchange(connect(), iter([post(review(pod(500))) * 50])),
}


def say(name: str) -> None:
    began = time.monotonic()
    answer, sent = WORDS[name]()
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    text = answer.partition(b"\r\n\r\n")[2].decode(errors="replace")
    print(json.dumps({"status": status, "sent": sent, "seconds": time.monotonic() - began, "text": text}))


class Flood:
    """250 connections with reviews as large as they may be, 150 with small ones, 100 that dawdle, and ever new ones."""

    def __init__(self, seconds: float, namespace: str) -> None:
        self.until = time.monotonic() + seconds
        self.outcomes: Counter[str] = Counter()
        large = post(review(pod(6 * MEGABYTE), namespace=namespace))
        small = post(review(pod(4000), namespace=namespace))
        unknown = post(review(pod(4000), namespace="no-such-namespace"))
        self.work: list[tuple[int, Callable[[], None]]] = [
            (250, lambda: self.repeat(large)),
            (100, lambda: self.repeat(small)),
            (50, lambda: self.repeat(unknown)),
            (100, lambda: self.converse(dribbled(b"POST /mutate/pods HTTP/1.1\r\nX: ", 40), SLOWLY)),
            (20, lambda: self.converse(iter([small]))),
        ]

    def run(self) -> dict[str, int]:
        """Everybody at it until time is up: how often each answer came."""
        threads = [
            threading.Thread(target=self.again_and_again, args=(once,), daemon=True)
            for count, once in self.work
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.until + 5.0 - time.monotonic()))
        return dict(self.outcomes)

    def again_and_again(self, once: Callable[[], None]) -> None:
        while time.monotonic() < self.until:
            try:
                once()
            except OSError:
                self.outcomes["closed"] += 1
                time.sleep(0.01)

    def converse(self, words: Iterator[bytes], pause: float = 0.0) -> None:
        """One connection, one exchange."""
        with connect() as connection:
            self.count(exchange(connection, words, pause)[0])

    def repeat(self, words: bytes) -> None:
        """One connection, the same words for as long as they are answered."""
        with connect() as connection:
            while time.monotonic() < self.until and self.count(exchange(connection, iter([words]))[0]):
                pass

    def count(self, answer: bytes) -> bool:
        self.outcomes[answer[9:12].decode() or "closed"] += 1
        return bool(answer)


if __name__ == "__main__":
    if sys.argv[1] == "say":
        say(sys.argv[2])
    else:
        print(json.dumps(Flood(float(sys.argv[2]), sys.argv[3]).run()))
