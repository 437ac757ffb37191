"""Hours of every kind of session: nothing is lost, nothing is kept.

The seed is printed; INJECTOR_SOAK_SECONDS (half an hour unless set) says how long, INJECTOR_SOAK_SEED repeats a run.
"""

import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.netns.pods import Pod, Proxy, exchange, rules
from tests.netns.test_process import resident_kib

pytestmark = [pytest.mark.netns, pytest.mark.long]

SECONDS: Final = float(os.environ.get("INJECTOR_SOAK_SECONDS", "1800"))
SEED: Final = int(os.environ.get("INJECTOR_SOAK_SEED", str(random.SystemRandom().randrange(2**32))))
CLIENTS: Final = 4
WARM_SHARE: Final = 0.2
"""Buffers and the allocator reach their size in the first fifth; what comes after must not grow."""

GROWTH_KIB: Final = 1024
"""What the allocator may still move by. Half an hour at 200 sessions a second is 360,000 of them: 3 bytes lost in each
would show."""

Session = Callable[[socket.socket, random.Random], None]

QUIET_SECONDS: Final = 10.0
LARGE: Final = 4 * 1024 * 1024


def short(stream: socket.socket, chance: random.Random) -> None:
    said = chance.randbytes(chance.randrange(1, 2000))
    assert exchange(stream, said) == said


def large(stream: socket.socket, chance: random.Random) -> None:
    """More than all buffers on the way hold, so that back-pressure goes through both proxies."""
    said = chance.randbytes(64 * 1024) * (LARGE // (64 * 1024))
    sender = threading.Thread(target=stream.sendall, args=(said,))
    sender.start()
    received = 0
    while received < len(said):
        chunk = stream.recv(65536)
        assert chunk == (said[received : received + len(chunk)]), "the bytes came back changed"
        assert chunk, f"the end came after {received} of {len(said)} bytes"
        received += len(chunk)
    sender.join()


def reset(stream: socket.socket, chance: random.Random) -> None:
    stream.sendall(chance.randbytes(5000))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(stream: socket.socket, chance: random.Random) -> None:
    time.sleep(chance.random() / 10)


def deaf(stream: socket.socket, chance: random.Random) -> None:
    """Sends until nobody takes more, reads nothing, and goes."""
    stream.settimeout(0.2)
    try:
        stream.sendall(bytes(64 * LARGE))
    except TimeoutError:
        return


KINDS: Final[tuple[Session, ...]] = (
    short,
    short,
    short,
    large,
    reset,
    silent,
    deaf,
)


class Clients:
    """Threads that open one session after another until told to stop."""

    def __init__(self, client: Pod, server: Pod) -> None:
        self.client, self.server = client, server
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(SEED + number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            kind = chance.choice(KINDS)
            address = chance.choice([self.server.v4, self.server.v6])
            try:
                with self.client.connect(address, 8080, timeout=20) as stream:
                    kind(stream, chance)
            except (OSError, AssertionError) as fault:
                self.faults.append(f"{kind.__name__} to {address}: {fault!r}")
            self.done[kind.__name__] += 1


def descriptors(proxy: Proxy) -> int:
    """Open files of the proxy. `proxy.process` became the proxy: ip and setpriv replace themselves by what they run."""
    return len(list(Path(f"/proc/{proxy.process.pid}/fd").iterdir()))


def wait_quiet(proxy: Proxy) -> None:
    until = time.monotonic() + QUIET_SECONDS
    while proxy.metric("tcp_open_connections"):
        assert time.monotonic() < until, f"connections stay open: {proxy.metric('tcp_open_connections')}"
        time.sleep(0.1)


@pytest.mark.timeout(SECONDS + 120, func_only=True)
def test_sessions_leave_nothing_behind(client: Pod, server: Pod) -> None:
    print(f"seed {SEED}")
    assert client.init(rules()).returncode == 0
    assert server.init(rules()).returncode == 0
    with ExitStack() as stack:
        proxies = [stack.enter_context(pod.proxy()) for pod in (client, server)]
        stack.enter_context(server.echo(port=8080))
        at_rest = [descriptors(proxy) for proxy in proxies]
        with Clients(client, server) as clients:
            time.sleep(SECONDS * WARM_SHARE)
            warm = [resident_kib(proxy.process.pid) for proxy in proxies]
            time.sleep(SECONDS * (1 - WARM_SHARE))
        for proxy in proxies:
            wait_quiet(proxy)
        cold = [resident_kib(proxy.process.pid) for proxy in proxies]
        print(f"sessions {dict(clients.done)}; resident KiB warm {warm}, at the end {cold}; descriptors {at_rest}")
        assert clients.faults == []
        assert all(clients.done[kind.__name__] for kind in KINDS)
        assert [descriptors(proxy) for proxy in proxies] == at_rest
        assert all(end - begin < GROWTH_KIB for begin, end in zip(warm, cold, strict=True))
