"""The leader's work: see to it that there is an issuer, and that it is the one that is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from injector.identity import objects
from injector.identity.objects import REQUEST_SECRET, Asked
from injector.identity.plan import Step, plan
from injector.kube.errors import NotFound
from injector.kube.reconcile import after_step, reconcile, store
from injector.kube.resources import SECRETS
from injector.pki import issuer_request, new_key

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from injector.identity.issuer import Issuer
    from injector.kube.client import KubeClient


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
        await reconcile(self._advance, self._changed)

    async def _advance(self) -> float:
        """One step if one is due; how long to sleep if nothing changes."""
        now = self._now()
        asked = await self._asked()
        found = plan(self._issuer.kept, self._issuer.public, asked, now)
        if found.step is None:
            return max(0.0, (found.again - now).total_seconds())
        await self._take(found.step, asked, now)
        log.info("step taken", step=found.step.value)
        return after_step()

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
                await store(self._kube, SECRETS, made, self._namespace)
            case Step.ASK:
                await store(
                    self._kube, SECRETS, objects.request(asked, issuer_request(kept.next_key, now)), self._namespace
                )
            case Step.ADOPT:
                adopted = objects.secret(
                    kept, chain=public.issuer, key=kept.next_key, next_key=b"", generation=kept.generation
                )
                await store(self._kube, SECRETS, adopted, self._namespace)
