"""Sending bytes between pods, and finding exactly those in the counters of their proxies."""

from typing import Final

from tests.cluster.support.metrics import Direction, Traffic
from tests.cluster.support.sandbox import Pod
from tests.cluster.support.waiting import eventually

SEND: Final = 100_003
RECEIVE: Final = 300_007
"""Payloads of unequal size, so that a swapped direction shows, above any buffer, and of no round number of blocks."""

COUNT_SECONDS: Final = 10.0
"""For a scrape to show what has been carried, on a busy machine."""


def exchange(client: Pod, address: str) -> None:
    """SEND bytes to the application at an address and RECEIVE back, every one of them checked at both ends."""
    done = client.app_json("exchange", "--send", str(SEND), "--receive", str(RECEIVE), address)
    assert done == {"sent": SEND, "received": RECEIVE}


def counted_exchange(client: Pod, address: str, *passes: tuple[Pod, Direction]) -> None:
    """An exchange that each of these proxies counts to the byte, and as one connection."""
    before = [(pod.metrics(), pod, direction) for pod, direction in passes]
    exchange(client, address)
    for earlier, pod, direction in before:
        grown = eventually(
            lambda earlier=earlier, pod=pod, direction=direction: (  # type: ignore[misc]
                pod.metrics().traffic(direction) - earlier.traffic(direction)
            ),
            lambda grown: grown.received >= SEND and grown.sent >= RECEIVE,
            seconds=COUNT_SECONDS,
            what=f"the proxy of {pod.name} counts {SEND} and {RECEIVE} bytes {direction}",
        )
        assert grown == Traffic(SEND, RECEIVE), f"{pod.name}, {direction}"
        connections = pod.metrics().connections(direction) - earlier.connections(direction)
        assert connections == 1, f"{pod.name}, {direction}"


def uncounted_exchange(client: Pod, address: str, *bypassed: tuple[Pod, Direction]) -> None:
    """An exchange that works, and of which these proxies see nothing."""
    before = [(pod.metrics(), pod, direction) for pod, direction in bypassed]
    exchange(client, address)
    for earlier, pod, direction in before:
        now = pod.metrics()
        assert now.traffic(direction) == earlier.traffic(direction), f"{pod.name}, {direction}"
        assert now.connections(direction) == earlier.connections(direction), f"{pod.name}, {direction}"
