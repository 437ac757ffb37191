"""Keeps the webhook's certificates: observe, plan, take one step, observe again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from injector.controller import objects, rotation
from injector.controller.objects import AUTHORITY_SECRET, CONFIGURATION, FIELD_MANAGER, REREAD_SECONDS, SERVING_SECRET
from injector.controller.observe import observe, trusted
from injector.controller.rotation import State, Step
from injector.kube.informer import Informer, Selection
from injector.kube.reconcile import after_step, reconcile, store
from injector.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, NAMESPACES, SECRETS
from injector.pace import TokenBucket
from injector.pki import issue, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.controller.metrics import ControllerMetrics
    from injector.controller.objects import Authorities, Configuration, ServingPair
    from injector.controller.rotation import Policy
    from injector.kube.client import KubeClient
    from injector.pki import Certificate, Pair

# However sure the plan is that nothing is due, it looks again after this long: missed news is repaired within a minute.
LONGEST_SLEEP_SECONDS = 30.0
# A caBundle that somebody else keeps changing back is put right five times at once, then twice a minute, and reported.
REPAIRS_PER_SECOND = 2 / 60
REPAIRS_BURST = 5.0

log = structlog.get_logger(__name__)


class Certificates:
    """The leader's work on certificates. Run `run` while leading; make a new one for each term."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        policy: Policy,
        metrics: ControllerMetrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._policy = policy
        self._metrics = metrics
        self._now = now
        self._changed = asyncio.Event()
        self._repairs = TokenBucket(REPAIRS_PER_SECOND, REPAIRS_BURST)
        self._trusted_since: dict[str, datetime] = {}
        self._namespace_uid = ""
        self._authorities: Informer[Authorities] = Informer(
            kube,
            Selection.one(SECRETS, name=AUTHORITY_SECRET, namespace=namespace),
            objects.read_authorities,
            self._on_change,
            REREAD_SECONDS,
        )
        self._serving: Informer[ServingPair] = Informer(
            kube,
            Selection.one(SECRETS, name=SERVING_SECRET, namespace=namespace),
            objects.read_serving,
            self._on_change,
            REREAD_SECONDS,
        )
        self._configuration: Informer[Configuration] = Informer(
            kube,
            Selection.one(MUTATING_WEBHOOK_CONFIGURATIONS, name=CONFIGURATION),
            objects.read_configuration,
            self._on_change,
        )

    def _on_change(self, *_: object) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        informers: tuple[Informer[Authorities] | Informer[ServingPair] | Informer[Configuration], ...]
        informers = (self._authorities, self._serving, self._configuration)
        async with asyncio.TaskGroup() as group:
            for informer in informers:
                group.create_task(informer.run())
            for informer in informers:
                await informer.wait_synced()
            await reconcile(self._advance, self._changed)

    async def _advance(self) -> float:
        """One step if one is due; how long to sleep if nothing changes."""
        if not self._namespace_uid:
            namespace = await self._kube.get(NAMESPACES, name=self._namespace, metadata_only=True)
            self._namespace_uid = namespace["metadata"]["uid"]
        now = self._now()
        configuration = self._configuration.items.get(("", CONFIGURATION))
        self._trusted_since = trusted(configuration, self._trusted_since, now)
        state = observe(
            self._authorities.items.get((self._namespace, AUTHORITY_SECRET)),
            self._serving.items.get((self._namespace, SERVING_SECRET)),
            configuration,
            self._trusted_since,
            self._namespace_uid,
            now,
        )
        self._metrics.certificates(state.current, state.leaf)
        plan = rotation.plan(state, self._policy, now)
        if plan.step is None:
            return min(LONGEST_SLEEP_SECONDS, max(0.0, (plan.again - now).total_seconds()))
        if plan.step is Step.PUBLISH_BUNDLE and (wait := self._contested(configuration)) > 0:
            return wait
        await self._take(plan.step, state, now)
        self._metrics.stepped(plan.step)
        log.info("step taken", step=plan.step.value)
        return after_step()

    def _contested(self, configuration: Configuration | None) -> float:
        """How long to leave caBundle alone because somebody keeps changing it; 0 to go on."""
        clock = monotonic()
        contested = not self._repairs.take(clock)
        self._metrics.contested.set(contested)
        if not contested:
            return 0.0
        writers = list(configuration.writers) if configuration else []
        log.error("somebody else keeps changing caBundle; its other field managers are listed", writers=writers)
        return self._repairs.wait_for_one(clock)

    async def _take(self, step: Step, state: State, now: datetime) -> None:
        match step:
            case Step.CREATE_AUTHORITY:
                made = make_authority(now, self._policy.ca_lifetime)
                await self._store_authorities(made, None, rotation.heirs(state, made.certificate, now))
            case Step.PREPARE_AUTHORITY:
                following = make_authority(now, self._policy.ca_lifetime)
                await self._store_authorities(self._signing(), following, state.previous)
            case Step.PROMOTE_AUTHORITY:
                promoted = self._pairs()[1]
                assert promoted is not None  # noqa: S101 - the plan saw it
                await self._store_authorities(promoted, None, rotation.heirs(state, promoted.certificate, now))
            case Step.RETIRE_AUTHORITIES:
                await self._store_authorities(self._signing(), self._pairs()[1], ())
            case Step.PUBLISH_BUNDLE:
                await self._publish(rotation.bundle(state, now))
            case Step.ISSUE_LEAF:
                await self._issue(now)

    def _pairs(self) -> tuple[Pair | None, Pair | None]:
        known = self._authorities.items.get((self._namespace, AUTHORITY_SECRET))
        return (known.current, known.next) if known else (None, None)

    def _signing(self) -> Pair:
        current = self._pairs()[0]
        assert current is not None  # noqa: S101 - the plan saw it
        return current

    async def _store_authorities(
        self, current: Pair, following: Pair | None, previous: tuple[Certificate, ...]
    ) -> None:
        known = self._authorities.items.get((self._namespace, AUTHORITY_SECRET))
        version = known.version if known else ""
        await store(
            self._kube, SECRETS, objects.authority_secret(current, following, previous, version), self._namespace
        )

    async def _issue(self, now: datetime) -> None:
        authority = self._signing()
        leaf = issue(authority, self._policy.names, now, self._policy.leaf_lifetime)
        known = self._serving.items.get((self._namespace, SERVING_SECRET))
        await store(
            self._kube,
            SECRETS,
            objects.serving_secret(leaf, authority.certificate, known.version if known else ""),
            self._namespace,
        )

    async def _publish(self, bundle: tuple[Certificate, ...]) -> None:
        configuration = self._configuration.items[("", CONFIGURATION)]
        patch = objects.bundle_patch(configuration, objects.join(bundle), self._namespace, self._namespace_uid)
        await self._kube.apply(MUTATING_WEBHOOK_CONFIGURATIONS, patch, field_manager=FIELD_MANAGER)
