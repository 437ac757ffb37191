"""Keeps the mesh's roots: observe, plan, take one step, observe again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from injector.controller.objects import REREAD_SECONDS
from injector.controller.roots import objects, record
from injector.controller.roots.changes import change
from injector.controller.roots.objects import Kept, Publication, Published, Seen
from injector.controller.roots.observe import awaits_certificates, behind, observe, publication, roles
from injector.controller.roots.plan import bundle, plan
from injector.kube.informer import Informer, Selection
from injector.kube.reconcile import after_step, reconcile, store
from injector.kube.resources import CONFIG_MAPS, SECRETS
from injector.pki import RequestError, faults_of_roots, read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.controller.census import Census
    from injector.controller.metrics import ControllerMetrics
    from injector.controller.roots.acknowledgements import Heard
    from injector.controller.roots.plan import Policy, State, Step
    from injector.kube.client import KubeClient
    from injector.kube.resources import Resource

# However sure the plan is that nothing is due, it looks again after this long.
LONGEST_SLEEP_SECONDS = 30.0
# While a rotation runs, the proxies are asked this often how far they are; a report of 10,000 is some 2.5 MB.
ASK_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Distribution(Protocol):
    """Who carries the roots into the namespaces."""

    def publish(self, roots: str) -> None:
        """These are the roots from now on (PEM)."""

    def everywhere(self, roots: str) -> bool:
        """Whether every namespace's ConfigMap that is there has exactly these."""


class Fleet(Protocol):
    """Who asks the proxies."""

    def wish(self, issuer: str) -> None:
        """The issuer with this fingerprint is the one that is wanted."""

    async def hear(self) -> Heard:
        """What the proxies and the parts of the control plane say of themselves."""


class Roots:
    """The leader's work on roots. Run `run` while leading; make a new one for each term."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        policy: Policy,
        distribution: Distribution,
        fleet: Fleet,
        census: Census,
        metrics: ControllerMetrics,
        *,
        given: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._policy = policy
        self._distribution = distribution
        self._fleet = fleet
        self._census = census
        self._metrics = metrics
        self._given = given
        self._now = now
        self._changed = asyncio.Event()
        self._refused = b""
        self._kept = self._watch(objects.ROOT_SECRET, objects.read_kept, SECRETS, REREAD_SECONDS)
        self._published = self._watch(objects.PUBLISHED, objects.read_published)
        self._request = self._watch(objects.REQUEST, objects.read_request, SECRETS, REREAD_SECONDS)
        self._wish = self._watch(objects.COMMAND, objects.read_wish)
        self._gift = self._watch(objects.GIVEN, objects.read_given)

    def _watch(
        self,
        name: str,
        project: Callable[[Any], Any],
        resource: Resource = CONFIG_MAPS,
        relist_seconds: float | None = None,
    ) -> Informer[Any]:
        selection = Selection.one(resource, name=name, namespace=self._namespace)
        return Informer(self._kube, selection, project, lambda *_: self._changed.set(), relist_seconds)

    def _seen(self, informer: Informer[Any], name: str) -> Any:
        return informer.items.get((self._namespace, name))

    async def run(self) -> None:
        """Until cancelled."""
        made = (self._kept, self._request, self._wish)
        informers = (self._published, *((self._gift,) if self._given else made))
        async with asyncio.TaskGroup() as group:
            for informer in informers:
                group.create_task(informer.run())
            for informer in informers:
                await informer.wait_synced()
            # Before all pods were seen, nobody is known to be behind, and nothing may go on because of that.
            await self._census.synced.wait()
            await reconcile(self._pass_on if self._given else self._advance, self._changed)

    async def _pass_on(self) -> float:
        """The user's own roots, as long as they are good; else those that were published before stay."""
        published: Published = self._seen(self._published, objects.PUBLISHED) or Published()
        gift: bytes | None = self._seen(self._gift, objects.GIVEN)
        where = f"ConfigMap {self._namespace}/{objects.GIVEN}"
        if gift is None:
            faults = [f"{where}: expected the roots that the installation says are given, and it is not there"]
        else:
            faults = [f"{where}, {objects.ROOTS_KEY}: {fault}" for fault in faults_of_roots(gift, self._now())]
        for fault in faults:
            log.error("the given roots cannot be used", fault=fault)
        roots = published.roots if faults or gift is None else read_bundle(gift)
        roles = tuple((root, "given") for root in roots)
        self._metrics.roots(roles, None)
        self._distribution.publish(published.data.get(objects.ROOTS_KEY, ""))
        await self._publish(Publication(True, roles, (), record.Record(), tuple(faults)), published)
        return LONGEST_SLEEP_SECONDS

    def _look(self) -> Seen:
        request: bytes = self._seen(self._request, objects.REQUEST) or b""
        return Seen(
            self._seen(self._kept, objects.ROOT_SECRET) or Kept(),
            self._seen(self._published, objects.PUBLISHED) or Published(),
            b"" if request == self._refused else request,
            self._seen(self._wish, objects.COMMAND),
        )

    async def _advance(self) -> float:
        """One step if one is due; how long to sleep if nothing changes."""
        now, seen = self._now(), self._look()
        roots = seen.published.data.get(objects.ROOTS_KEY, "")
        state = observe(seen, now, everywhere=self._distribution.everywhere(roots))
        # What is published is handed on only if it is what the root's Secret says: the right to write a ConfigMap is
        # not the right to say whom every pod trusts.
        if set(state.trusted) == set(bundle(state)):
            self._distribution.publish(roots)
        if state.issuer is not None:
            self._fleet.wish(state.issuer.id)
        state, known = await self._count(state, seen, now)
        self._metrics.roots(roles(state), state.issuer)
        self._metrics.rotating(known.running)
        planned = plan(state, self._policy, now)
        if planned.step is not None:
            await self._take(planned.step, seen, state, known, now)
            return after_step()
        if await self._publish(publication(state, seen.published.chain, known), seen.published):
            return after_step()
        if known.running is not None:
            return ASK_SECONDS
        left = LONGEST_SLEEP_SECONDS if planned.again is None else (planned.again - now).total_seconds()
        return min(LONGEST_SLEEP_SECONDS, left)

    async def _count(self, state: State, seen: Seen, now: datetime) -> tuple[State, record.Record]:
        """The state with who is behind, if it matters now, and the record that goes with it."""
        known, late, number = seen.published.record, [], 0
        if state.next is not None or awaits_certificates(state, known):
            running, heard = self._census.running(now), await self._fleet.hear()
            late = behind(state, known, running, heard)
            number = len(running) + len(heard.parts)
        state = replace(state, without_root=len(late), without_certificate=len(late))
        return state, record.counted(record.follow(known, state, seen.wish, now), number, late)

    async def _take(self, step: Step, seen: Seen, state: State, known: record.Record, now: datetime) -> None:
        try:
            written = change(step, seen, state, known, self._policy, now)
        except RequestError as error:
            log.warning("the issuer's request is not signed", secret=objects.REQUEST, error=str(error))
            self._refused = seen.request
            return
        if isinstance(written, Kept):
            await store(self._kube, SECRETS, objects.kept_secret(written), self._namespace)
        else:
            await self._publish(written, seen.published)
        self._metrics.root_stepped(step)
        log.info("step taken", step=step.value)

    async def _publish(self, publication: Publication, published: Published) -> bool:
        """Write what is to be published, unless it is; whether it was written."""
        data = publication.data()
        if data == published.data:
            return False
        await store(self._kube, CONFIG_MAPS, objects.published_config_map(data, published.version), self._namespace)
        return True
