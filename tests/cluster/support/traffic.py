"""Sending bytes between pods, and finding exactly those in the counters of their proxies."""

from functools import partial
from typing import Final

from tests.cluster.support import pods
from tests.cluster.support.metrics import Direction, Traffic
from tests.cluster.support.sandbox import Pod
from tests.cluster.support.waiting import eventually

SEND: Final = 100_003
RECEIVE: Final = 300_007
"""Payloads of unequal size, so that a swapped direction shows, above any buffer, and of no round number of blocks."""

REACH_SECONDS: Final = 30.0

COUNT_SECONDS: Final = 10.0
"""For a scrape to show what has been carried, on a busy machine."""


def wait_reachable(client: Pod, *hosts: str) -> None:
    """Ask each host's HTTP port until it answers: a Service's rules reach a node after its endpoints are ready.

    This passes the proxies too, so whoever counts begins afterwards.
    """
    for host in hosts:
        url = f"http://{host}:{pods.HTTP}/"
        eventually(partial(client.app, "get", url), bool, seconds=REACH_SECONDS, what=f"{url} answers {client.name}")


def exchange(client: Pod, address: str) -> None:
    """SEND bytes to the application at an address and RECEIVE back, every one of them checked at both ends."""
    done = client.app_json("exchange", "--send", str(SEND), "--receive", str(RECEIVE), address)
    assert done == {"sent": SEND, "received": RECEIVE}


def counted_exchange(client: Pod, address: str, *passes: tuple[Pod, Direction]) -> None:
    """An exchange that each of these proxies counts to the byte, and as one connection."""
    counters = [_Counter(pod, direction) for pod, direction in passes]
    exchange(client, address)
    for counter in counters:
        grown = eventually(counter.growth, _whole, seconds=COUNT_SECONDS, what=f"{counter} counts the exchange")
        assert grown == Traffic(SEND, RECEIVE), str(counter)
        assert counter.connections() == 1, str(counter)


def uncounted_exchange(client: Pod, address: str, *bypassed: tuple[Pod, Direction]) -> None:
    """An exchange that works, and of which these proxies see nothing."""
    counters = [_Counter(pod, direction) for pod, direction in bypassed]
    exchange(client, address)
    for counter in counters:
        assert counter.growth() == Traffic(0, 0), str(counter)
        assert counter.connections() == 0, str(counter)


def _whole(grown: Traffic) -> bool:
    return grown.received >= SEND and grown.sent >= RECEIVE


class _Counter:
    """How far one direction of a proxy has counted since now."""

    def __init__(self, pod: Pod, direction: Direction) -> None:
        self._pod = pod
        self._direction = direction
        self._before = pod.metrics()

    def __str__(self) -> str:
        return f"the proxy of {self._pod.name}, {self._direction},"

    def growth(self) -> Traffic:
        return self._pod.metrics().traffic(self._direction) - self._before.traffic(self._direction)

    def connections(self) -> int:
        return self._pod.metrics().connections(self._direction) - self._before.connections(self._direction)
