"""The bounds of a listening port, and why each is what it is."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one port grants: in all, to one source address, and to one request. Seconds and bytes."""

    connections: int
    connections_per_source: int
    # New connections of one source: `burst` at once, `rate` a second; who comes faster waits in line up to `wait`.
    opening_rate: float
    opening_burst: float
    opening_wait_seconds: float
    handshake_seconds: float
    # From the first byte of a request to the end of its headers, and from there to the end of its body.
    header_bytes: int
    header_seconds: float
    body_bytes: int
    body_seconds: float
    # Bytes of request bodies that are held at one time.
    held_bytes: int
    held_bytes_per_source: int
    # From the last byte of a request to the first of its answer; what takes longer has no reader any more.
    answer_seconds: float
    idle_seconds: float


REVIEWS = Limits(
    # An API server keeps 25 idle connections to a webhook and opens more only while it has more reviews at once. Three
    # API servers, each in a burst of 200 pods, fit.
    connections=1024,
    connections_per_source=256,
    # A handshake is 0.3 to 0.5 ms of CPU: a hostile source gets 50/s = 2.5 % of a core. An honest burst gets 200 at
    # once; the 201st waits 20 ms, and nobody waits longer than a fifth of the API server's 5 s.
    opening_rate=50,
    opening_burst=200,
    opening_wait_seconds=1.0,
    handshake_seconds=3.0,
    # An API server's request line and headers are some 300 bytes.
    header_bytes=16 * KIB,
    header_seconds=3.0,
    # An API server takes requests up to 3 MiB; a review of an UPDATE holds two such objects, and its own envelope.
    body_bytes=2 * 3 * MIB + MIB,
    body_seconds=4.0,
    # Nine of the largest reviews at once, and none of the sources more than half of it. A pod of 4 KB: 16,000.
    held_bytes=64 * MIB,
    held_bytes_per_source=32 * MIB,
    # The API server has stopped waiting after timeoutSeconds (5).
    answer_seconds=5.0,
    # Go closes its idle connections after 90 s. Closing later than the client means never closing under a request.
    idle_seconds=120.0,
)

ADMIN = Limits(
    # Kubelet's probes, Prometheus, a person with curl.
    connections=64,
    connections_per_source=16,
    opening_rate=20,
    opening_burst=40,
    opening_wait_seconds=1.0,
    handshake_seconds=3.0,
    header_bytes=16 * KIB,
    header_seconds=3.0,
    body_bytes=0,
    body_seconds=1.0,
    held_bytes=0,
    held_bytes_per_source=0,
    answer_seconds=10.0,
    idle_seconds=30.0,
)
