"""Whoever makes the requests: the command of each, and what its words mean. Pure."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass

from benches.http.rows import GRPC, Row, Tool
from benches.processes import OUTPUT, ROOT
from benches.progress import BenchError

GRPC_BINARY = OUTPUT / "grpc"
MESSAGE = OUTPUT / "http" / "message"
MESSAGE_SIZE = 64
"""Bytes of a gRPC message, without the five before it."""
_SCRIPT = ROOT / "benches" / "http" / "wrk.lua"
_FINISHED = re.compile(r"finished in [\d.]+m?s, ([\d.]+) req/s")
_REQUESTS = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded")
_BYTES = re.compile(r"traffic: [^(]*\((\d+)\) total")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw: requests a second, how many in all, their bytes on its connections, latencies in seconds."""

    rate: float
    count: int
    bytes: int = 0
    p50: float | None = None
    p99: float | None = None


def message() -> bytes:
    """A gRPC message: not compressed, its length, itself."""
    return b"\0" + MESSAGE_SIZE.to_bytes(4, "big") + bytes(MESSAGE_SIZE)


def command(row: Row, address: str, port: int, seconds: float) -> list[str]:
    """What makes the row's requests to an address for so long."""
    whole, connections = str(max(1, round(seconds))), str(row.connections)
    url = f"http://{address}:{port}{row.path}"
    words: list[str]
    match row.tool:
        case Tool.WRK:
            words = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "-s", str(_SCRIPT)]
            words += [*([] if row.keep else ["-H", "Connection: close"]), url]
        case Tool.H2LOAD:
            words = ["h2load", "-t1", f"-c{connections}", f"-m{row.streams}", "-D", whole]
            calls = ["-d", str(MESSAGE), "-H", "content-type: application/grpc", "-H", "te: trailers"]
            words += [*(calls if row.port == GRPC else []), url]
        case Tool.OPEN:
            words = [sys.executable, "-m", "benches.http.open", "--address", address, "--port", str(port)]
            words += ["--rate", str(row.rate), "--connections", connections, "--seconds", str(seconds)]
        case Tool.GRPC_STREAM:
            words = [str(GRPC_BINARY), "stream", "--to", f"{address}:{port}", "--time", f"{seconds}s"]
            words += ["--connections", connections, "--streams", str(row.streams), "--size", str(MESSAGE_SIZE)]
    return words


def read(row: Row, output: str) -> Seen:
    """What the row's client said."""
    seen = {Tool.WRK: _wrk, Tool.H2LOAD: _h2load, Tool.OPEN: _open, Tool.GRPC_STREAM: _stream}[row.tool](output)
    if not seen.count:
        raise BenchError(f"{row.name}: not one request was answered; {row.tool.value} said:\n{output}")
    return seen


def _wrk(output: str) -> Seen:
    said = json.loads(output.strip().rpartition("\n")[2])
    if said["failed"]:
        raise BenchError(f"{said['failed']} of {said['requests']} requests failed; wrk said:\n{output}")
    seconds = said["microseconds"] / 1e6
    return Seen(said["requests"] / seconds, said["requests"], said["bytes"], said["p50"] / 1e6, said["p99"] / 1e6)


def _h2load(output: str) -> Seen:
    rate, requests, traffic = (each.search(output) for each in (_FINISHED, _REQUESTS, _BYTES))
    if rate is None or requests is None or traffic is None:
        raise BenchError(f"h2load said no figures, but:\n{output}")
    done, succeeded = map(int, requests.groups())
    if done != succeeded:
        raise BenchError(f"{done - succeeded} of {done} requests failed; h2load said:\n{output}")
    return Seen(float(rate.group(1)), done, int(traffic.group(1)))


def _open(output: str) -> Seen:
    said = json.loads(output)
    return Seen(said["rate"], said["count"], said["bytes"], said["p50"], said["p99"])


def _stream(output: str) -> Seen:
    said = json.loads(output)
    count = int(said["count"])
    return Seen(count / said["seconds"], count, count * len(message()))
