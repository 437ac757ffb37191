"""A cable with a delay, for kernels without netem: a TAP device in each of two namespaces, and this program between.

usage: python -m tests.netns.http.slow_cable NAMESPACE NAMESPACE SECONDS, which is how long each way takes
"""

import ctypes
import fcntl
import os
import selectors
import struct
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
FRAME: Final = 65536
NAME: Final = b"eth0"


def tap(namespace: str) -> int:
    """The other end of the device in the namespace: what the pod sends is read here."""
    with Path(f"/run/netns/{namespace}").open() as entered:
        if ctypes.CDLL(None, use_errno=True).setns(entered.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", NAME, IFF_TAP | IFF_NO_PI))
    return end


def carry(ends: tuple[int, int], seconds: float) -> None:
    """Each frame leaves so long after it came."""
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    under_way: deque[tuple[float, int, bytes]] = deque()
    with selectors.SelectSelector() as selector:  # select counts microseconds, where epoll rounds up to milliseconds
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        while True:
            wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
            for key, _ in selector.select(wait):
                under_way.append((time.monotonic() + seconds, other[key.fd], os.read(key.fd, FRAME)))
            while under_way and under_way[0][0] <= time.monotonic():
                _, end, frame = under_way.popleft()
                with suppress(OSError):  # the device is not up: the frame is lost, as on any cable
                    os.write(end, frame)


if __name__ == "__main__":
    first, second, delay = sys.argv[1:]
    carry((tap(first), tap(second)), float(delay))
