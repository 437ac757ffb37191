"""Servers that speak first, over a link with latency: how much later the first byte comes than without proxies.

Without proxies the greeting takes two round trips: the connection's handshake, and the way of its last packet and back.
"""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.netns.http import apps
from tests.netns.http.pair import SERVICE, Pair, address, cabled, redirect
from tests.netns.http.servers import answering

pytestmark = pytest.mark.netns

ROUND_TRIP: Final = 0.020
PORT: Final = 2525
TRIES: Final = 5
LATER: Final = 0.020
"""The aim, in seconds, besides the round trip that mutual TLS cannot do without: the client's certificate must have
come before the server is told of anyone (RFC 8446, section 2)."""


@pytest.fixture
def distant(binary: Path) -> Iterator[Pair]:
    """Two pods that a slow cable joins, and a mail server in one."""
    with cabled(binary, "slow", joined=False) as pair, slow_cable(pair), answering(pair.server, PORT):
        pair.know([PORT])
        yield pair


@contextmanager
def slow_cable(pair: Pair) -> Iterator[None]:
    names = (pair.client.name, pair.server.name)
    with apps.running(pair.client, sys.executable, "-m", "tests.netns.http.slow_cable", *names, str(ROUND_TRIP / 2)):
        wait_device(pair)
        for pod, other in ((pair.client, pair.server), (pair.server, pair.client)):
            address(pod, "eth0", other)
        pair.client.execute("ip", "route", "add", f"{SERVICE}/32", "via", pair.server.v4)
        yield


def wait_device(pair: Pair) -> None:
    until = time.monotonic() + 5
    while any(pod.execute("ip", "link", "show", "eth0", check=False).returncode for pod in (pair.client, pair.server)):
        assert time.monotonic() < until, "the cable is not there"
        time.sleep(0.01)


def first_byte(pair: Pair, at: str) -> float:
    """From the call of connect until the greeting's first byte."""

    def greeted() -> float:
        with socket.socket() as stream:
            stream.settimeout(5)
            begin = time.monotonic()
            stream.connect((at, PORT))
            assert stream.recv(1) == b"2"
            return time.monotonic() - begin

    return pair.client.inside(greeted)


def test_the_first_greeting_after_a_start_comes_soon(distant: Pair) -> None:
    first_byte(distant, distant.server.v4)  # both know each other's hardware addresses from here on
    without = [first_byte(distant, distant.server.v4) for _ in range(TRIES)]
    redirect([distant.client, distant.server])
    through = []
    for _ in range(TRIES):
        with distant.proxies():
            through.append(first_byte(distant, SERVICE))
            distant.assert_encrypted()
    told = [" ".join(f"{each * 1000:.1f}" for each in sorted(times)) for times in (without, through)]
    print(f"milliseconds to the first byte without proxies: {told[0]}; of the first connection through both: {told[1]}")
    # The least, for what else the machine has to do makes either later, and nothing makes one sooner.
    assert min(without) > 2 * ROUND_TRIP, "the link is as slow as it should be"
    assert min(through) - min(without) < ROUND_TRIP + LATER, told
