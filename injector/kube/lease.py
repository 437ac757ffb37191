"""Leader election by a Lease (coordination.k8s.io/v1), safe under clock skew and API outages.

No clock is compared with another's: a candidate takes over only after it has itself watched the Lease stand still for
the whole duration, and a leader gives up, by its own clock, well before that. What is written into renewTime is for
people. Two leaders at once would need one clock to run half as fast again as the other.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import structlog

from injector.kube.errors import Conflict, KubeError, NotFound
from injector.kube.resources import LEASES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from injector.kube.client import KubeClient, Object

# The defaults of Kubernetes' own components. The leader stops 5 s before anybody else may start: longer than any
# request it may have in flight (cancelled at once, and bounded by the time until then).
LEASE_SECONDS = 15
RENEW_DEADLINE_SECONDS = 10.0
RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Turn(Enum):
    """What a candidate may do next."""

    WAIT = "wait"
    TAKE = "take"


@dataclass(slots=True)
class Candidate:
    """What one replica has seen of the Lease, and when by its own monotonic clock. Pure."""

    identity: str
    seen: tuple[Any, ...] | None = None
    seen_at: float = 0.0
    duration: float = LEASE_SECONDS

    def observe(self, lease: Object, now: float) -> Turn:
        """Look at the Lease: may it be taken?"""
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        # Any write starts the wait anew, whoever made it: the version changes with each.
        record = (holder, spec.get("renewTime"), lease["metadata"].get("resourceVersion"))
        if record != self.seen:
            self.seen, self.seen_at = record, now
            self.duration = max(float(spec.get("leaseDurationSeconds") or 0), LEASE_SECONDS)
        free = holder in ("", self.identity)
        return Turn.TAKE if free or now - self.seen_at >= self.duration else Turn.WAIT


class Election:
    """One replica's part in the election over the Lease `namespace/name`."""

    def __init__(self, kube: KubeClient, *, namespace: str, name: str, identity: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._candidate = Candidate(identity)
        self._lease: Object | None = None
        self.leading = False

    @property
    def seen(self) -> bool:
        """Whether the Lease was ever read or written: proof that the API server can be reached with our rights."""
        return self._lease is not None or self._candidate.seen is not None

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Stand for election for ever, running `lead` while elected. It is cancelled when the Lease may be lost and
        started anew when it is won again. The Lease is given up at once when this is cancelled, and when `lead` raises:
        then the error is passed on."""
        while True:
            renewed_at = await self._acquire()
            log.info("leading", lease=self._name, identity=self._identity)
            leading = asyncio.ensure_future(lead())
            self.leading = True
            try:
                await self._hold(renewed_at, leading)
            finally:
                self.leading = False
                leading.cancel()
                await asyncio.wait([leading])
                await self._release()
            log.warning("no longer leading", lease=self._name, identity=self._identity)

    async def _acquire(self) -> float:
        """Until the Lease is ours; when the request that made it so was begun (monotonic)."""
        now = asyncio.get_running_loop().time
        while True:
            begun = now()
            try:
                if await self._try(begun):
                    return begun
            except KubeError as error:
                log.warning("cannot read or write the lease", lease=self._name, error=str(error))
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - spreads candidates

    async def _try(self, begun: float) -> bool:
        try:
            lease = await self._kube.get(LEASES, namespace=self._namespace, name=self._name, seconds=RETRY_SECONDS * 2)
        except NotFound:
            lease = {"metadata": {"name": self._name, "namespace": self._namespace}}
            self._lease = await self._kube.create(LEASES, self._claimed(lease), namespace=self._namespace)
            return True
        if self._candidate.observe(lease, begun) is Turn.WAIT:
            return False
        await self._write(self._claimed(lease))
        return True

    async def _hold(self, renewed_at: float, leading: asyncio.Future[None]) -> None:
        """Renew until it fails for too long or `leading` ends."""
        loop = asyncio.get_running_loop()
        while True:
            done, _ = await asyncio.wait([leading], timeout=RETRY_SECONDS)
            if done:
                leading.result()
                raise RuntimeError("the leader's work ended, which it never should")
            begun = loop.time()
            left = renewed_at + RENEW_DEADLINE_SECONDS - begun
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    if not await self._renew():
                        return
                renewed_at = begun
            except (KubeError, TimeoutError) as error:
                log.warning("cannot renew the lease", lease=self._name, error=str(error) or "no answer in time")

    async def _renew(self) -> bool:
        """Write the Lease again; False if somebody else holds it."""
        assert self._lease is not None  # noqa: S101 - acquired before
        try:
            await self._write(self._claimed(self._lease))
        except Conflict:
            # Somebody wrote it, or a write of ours was stored although its answer was lost.
            lease = await self._kube.get(LEASES, namespace=self._namespace, name=self._name)
            if (lease.get("spec") or {}).get("holderIdentity") != self._identity:
                return False
            await self._write(self._claimed(lease))
        return True

    async def _write(self, lease: Object) -> None:
        self._lease = await self._kube.replace(
            LEASES, lease, namespace=self._namespace, seconds=RENEW_DEADLINE_SECONDS / 2
        )

    async def _release(self) -> None:
        """Let the next one in without a wait, if the Lease is still ours."""
        if self._lease is None:
            return
        spec = self._lease["spec"] | {"holderIdentity": ""}
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await self._kube.replace(LEASES, self._lease | {"spec": spec}, namespace=self._namespace)
        except (KubeError, TimeoutError) as error:
            log.info("the lease was not given up; it runs out by itself", lease=self._name, error=str(error))
        self._lease = None

    def _claimed(self, lease: Object) -> Object:
        """The Lease with us as its holder, from this version of it on."""
        spec = lease.get("spec") or {}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # MicroTime
        ours = spec.get("holderIdentity") == self._identity
        claim = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
            "acquireTime": spec.get("acquireTime") if ours else now,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + (0 if ours else 1),
        }
        return lease | {"spec": claim}
