"""How often anybody may ask for a certificate (pure but for the clock it is given)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from injector.identity.refusals import Reason, Refused
from injector.pace import TokenBucket

# A proxy asks once at its start, and every 8 hours; a crash loop asks every few seconds, a rotation once. Before its
# token is known an address stands for a pod.
SOURCE_RATE: Final = 2.0
SOURCE_BURST: Final = 20.0
POD_RATE: Final = 0.2
POD_BURST: Final = 10.0
# A certificate costs some 1 ms of CPU here and 3 ms at the API server: 100 a second are a tenth of a core. 10,000 pods
# that all start at once are certified within 100 s.
RATE: Final = 100.0
BURST: Final = 400.0
# Reviews that the API server has from us at one time.
MOST_REVIEWS: Final = 64
# Buckets that are remembered: 200 bytes each.
REMEMBERED: Final = 20_000


class Limits:
    """The buckets of one replica. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._all = TokenBucket(RATE, BURST)
        self._sources = _Buckets(SOURCE_RATE, SOURCE_BURST)
        self._pods = _Buckets(POD_RATE, POD_BURST)

    def arrive(self, source: str, now: float) -> None:
        """Somebody at this address asks; raises `Refused`. Before anything is spent on the request."""
        if not self._sources.take(source, now):
            raise Refused(Reason.TOO_MANY_OF_SOURCE, "too many requests from this address; try again later")
        if not self._all.take(now):
            raise Refused(Reason.TOO_MANY, "too many requests; try again later")

    def certify(self, pod_uid: str, now: float) -> None:
        """The pod of this uid has proven itself, and wants a certificate; raises `Refused`."""
        if not self._pods.take(pod_uid, now):
            raise Refused(Reason.TOO_MANY_OF_POD, "too many certificates for this pod; try again later")


class _Buckets:
    """A bucket a key; those that were not used for the longest time are forgotten first."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._by_key: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        bucket = self._by_key.get(key)
        if bucket is None:
            bucket = self._by_key[key] = TokenBucket(self._rate, self._burst, updated=now)
            if len(self._by_key) > REMEMBERED:
                self._by_key.popitem(last=False)
        self._by_key.move_to_end(key)
        return bucket.take(now)
