"""How often anybody may ask for a certificate (pure but for the clock it is given)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from injector.identity.refusals import Reason, Refused
from injector.pace import TokenBucket

# Before a token is known an address stands for whoever asks. Mostly that is one pod; where kube-proxy or the network
# hides pods behind their node's address it is a node, whose 110 pods (the kubelet's default) may all start at once.
SOURCE_RATE: Final = 10.0
SOURCE_BURST: Final = 120.0
# A proxy is refused while its token is being exchanged, or by a mistake, and backs off to 30 s. Whoever is refused more
# often has no good token, and each attempt costs a review: without this, ten such pods could use up all of `RATE`; so
# it takes two hundred.
REFUSED_RATE: Final = 0.5
REFUSED_BURST: Final = 30.0
# A proxy asks once at its start, and every 8 hours; a crash loop asks every few seconds, a rotation once.
POD_RATE: Final = 0.2
POD_BURST: Final = 10.0
# A certificate costs some 1 ms of CPU here and 3 ms at the API server: 100 a second are a tenth of a core. 10,000 pods
# that all start at once are certified within 100 s.
RATE: Final = 100.0
BURST: Final = 400.0
# Reviews that the API server has from us at one time.
MOST_REVIEWS: Final = 64
# Buckets that are remembered of each kind: 200 bytes each, 12 MB for the three.
REMEMBERED: Final = 20_000

_NOBODYS_FAULT: Final = {Reason.TOO_MANY_OF_SOURCE, Reason.TOO_MANY, Reason.NO_ISSUER, Reason.NO_API_SERVER}


class Limits:
    """The buckets of one replica. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._all = TokenBucket(RATE, BURST)
        self._sources = _Buckets(SOURCE_RATE, SOURCE_BURST)
        self._refused = _Buckets(REFUSED_RATE, REFUSED_BURST)
        self._pods = _Buckets(POD_RATE, POD_BURST)

    def arrive(self, source: str, now: float) -> None:
        """Somebody at this address asks; raises `Refused`. Before anything is spent on the request."""
        if not (self._refused.left(source, now) and self._sources.take(source, now)):
            raise Refused(Reason.TOO_MANY_OF_SOURCE, "too many requests from this address; try again later")
        if not self._all.take(now):
            raise Refused(Reason.TOO_MANY, "too many requests; try again later")

    def refused(self, source: str, reason: Reason, now: float) -> None:
        """Somebody at this address was refused."""
        if reason not in _NOBODYS_FAULT:
            self._refused.take(source, now)

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

    def __len__(self) -> int:
        return len(self._by_key)

    def left(self, key: str, now: float) -> bool:
        """Whether there is one to take."""
        bucket = self._by_key.get(key)
        return bucket is None or bucket.wait_for_one(now) <= 0

    def take(self, key: str, now: float) -> bool:
        """Take one, if there is one."""
        bucket = self._by_key.get(key)
        if bucket is None:
            bucket = self._by_key[key] = TokenBucket(self._rate, self._burst, updated=now)
            if len(self._by_key) > REMEMBERED:
                self._by_key.popitem(last=False)
        self._by_key.move_to_end(key)
        return bucket.take(now)
