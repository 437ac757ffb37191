"""Load for a webhook, as API servers make it: HTTPS/1.1, kept alive, one review at a time on each connection.

    python tests/webhook/load.py https://127.0.0.1:8443/mutate/pods --clients 8 --bytes 4096 --seconds 10 --pid PID

Prints one JSON line: reviews a second, latency percentiles in milliseconds, and, with --pid, the CPU milliseconds that
the serving process spent on each review. Knows nothing of the webhook but its protocol, so it measures any.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.webhook.pods import pod, review


@dataclass
class Measured:
    """What one run saw; seconds."""

    latencies: list[float] = field(default_factory=list)
    bad: int = 0


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def client(url: str, body: bytes, until: float, measured: Measured) -> None:
    """One connection, one review after the other."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 443)
    request = (
        f"POST {parts.path}?timeout=5s HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: kube-apiserver-admission\r\n"
        f"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(address, timeout=10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain) as connection:
            while time.monotonic() < until:
                began = time.perf_counter()
                connection.sendall(request)
                measured.bad += not _answer(connection)
                measured.latencies.append(time.perf_counter() - began)


def _answer(connection: ssl.SSLSocket) -> bool:
    """Read one whole answer: whether it is 200."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            raise ConnectionError("closed before an answer")
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    missing = length - len(rest)
    while missing > 0:
        missing -= len(connection.recv(min(missing, 65536)))
    return head.startswith(b"HTTP/1.1 200")


def run(url: str, *, clients: int, size: int, seconds: float, pid: int | None) -> dict[str, float]:
    """Load `url` and say what it was like."""
    body = review(pod(size))
    measured = [Measured() for _ in range(clients)]
    before = cpu_seconds(pid) if pid else 0.0
    began = time.monotonic()
    threads = [threading.Thread(target=client, args=(url, body, began + seconds, each)) for each in measured]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - began
    latencies = sorted(latency for each in measured for latency in each.latencies)
    if not latencies:
        raise SystemExit("no review was answered")
    count = len(latencies)
    result = {
        "clients": clients,
        "body_bytes": len(body),
        "reviews": count,
        "bad": sum(each.bad for each in measured),
        "reviews_per_second": round(count / elapsed, 1),
        "p50_ms": round(latencies[count // 2] * 1000, 2),
        "p99_ms": round(latencies[count * 99 // 100] * 1000, 2),
        "max_ms": round(latencies[-1] * 1000, 2),
    }
    if pid:
        result["cpu_ms_per_review"] = round((cpu_seconds(pid) - before) * 1000 / count, 3)
        result["resident_mb"] = round(resident_bytes(pid) / 1e6, 1)
    return result


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=4096, help="size of the pod")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pid", type=int, help="the serving process, to count its CPU time")
    chosen = parser.parse_args()
    result = run(chosen.url, clients=chosen.clients, size=chosen.bytes, seconds=chosen.seconds, pid=chosen.pid)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
