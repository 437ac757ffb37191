"""The leader's work: see to it that there is an issuer, and that it is the one that is wanted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from injector.identity import objects
from injector.identity.objects import REQUEST_SECRET, Asked
from injector.identity.plan import Step, plan
from injector.kube.errors import Conflict, KubeError, NotFound
from injector.kube.resources import SECRETS
from injector.pace import Backoff
from injector.pki import issuer_request, new_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.identity.issuer import Issuer
    from injector.kube.client import KubeClient, Object
    from injector.kube.resources import Resource

# After a step the watch tells of its effect, usually within milliseconds; the plan must not run ahead of that for long.
AFTER_STEP_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Keeper:
    """Run `run` while leading; make a new one for each term. `changed` wakes it when `issuer` has heard something."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        issuer: Issuer,
        changed: asyncio.Event,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._issuer = issuer
        self._changed = changed
        self._now = now

    async def run(self) -> None:
        """Until cancelled."""
        await self._issuer.wait_synced()
        await self._keep()

    async def _keep(self) -> None:
        backoff = Backoff(base=0.5, cap=15.0)
        while True:
            self._changed.clear()
            try:
                pause = await self._advance()
                backoff.reset()
            except Conflict as error:
                log.info("an object changed meanwhile; observing again", error=str(error))
                pause = AFTER_STEP_SECONDS
            except KubeError as error:
                log.warning("a step failed", error=str(error))
                pause = backoff.next_delay()
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _advance(self) -> float:
        """One step if one is due; how long to sleep if nothing changes."""
        now = self._now()
        asked = await self._asked()
        found = plan(self._issuer.kept, self._issuer.public, asked, now)
        if found.step is None:
            return max(0.0, (found.again - now).total_seconds())
        await self._take(found.step, asked, now)
        log.info("step taken", step=found.step.value)
        return AFTER_STEP_SECONDS

    async def _asked(self) -> Asked:
        try:
            return objects.read_asked(await self._kube.get(SECRETS, namespace=self._namespace, name=REQUEST_SECRET))
        except NotFound:
            return Asked()

    async def _take(self, step: Step, asked: Asked, now: datetime) -> None:
        kept, public = self._issuer.kept, self._issuer.public
        match step:
            case Step.MAKE_KEY:
                # The wish is met by whatever is asked for from now on; one that comes later is another wish.
                made = objects.secret(
                    kept, chain=kept.chain, key=kept.key, next_key=new_key(), generation=public.wanted
                )
                await self._store(SECRETS, made)
            case Step.ASK:
                await self._store(SECRETS, objects.request(asked, issuer_request(kept.next_key, now)))
            case Step.ADOPT:
                adopted = objects.secret(
                    kept, chain=public.issuer, key=kept.next_key, next_key=b"", generation=kept.generation
                )
                await self._store(SECRETS, adopted)

    async def _store(self, kind: Resource, body: Object) -> None:
        """Write exactly over what was observed: `Conflict` if it has changed, or appeared, since."""
        if "resourceVersion" in body["metadata"]:
            await self._kube.replace(kind, body, namespace=self._namespace)
        else:
            await self._kube.create(kind, body, namespace=self._namespace)
