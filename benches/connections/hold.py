"""Opens connections, asks once on each, says so, and keeps them until told to end."""

from __future__ import annotations

import argparse
import gc
import resource
import signal
import socket
import sys
from typing import NoReturn

from benches.http.answer import Answer

HOLDING = "holding"
PATIENCE = 10.0


def hold(target: tuple[str, int], count: int) -> NoReturn:
    """Until SIGTERM, or until one of them is closed while others are opened."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    request = f"GET / HTTP/1.1\r\nHost: {target[0]}:{target[1]}\r\n\r\n".encode()
    held = []
    for number in range(count):
        try:
            connection = socket.create_connection(target, timeout=PATIENCE)
            connection.sendall(request)
            answer = Answer()
            while not answer.take(connection.recv(65536)):
                continue
        except OSError as fault:
            sys.exit(f"connection {number + 1} of {count}: {fault}")
        held.append(connection)
    print(HOLDING, flush=True)
    while True:
        signal.pause()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    told = parser.parse_args()
    gc.disable()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    hold((told.address, told.port), told.count)


if __name__ == "__main__":
    main()
