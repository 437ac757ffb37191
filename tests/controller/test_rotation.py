"""Rotation, driven through the real steps on real certificates: from any state, interrupted anywhere, whatever anybody
deletes, no leaf is ever made that is not trusted yet, none loses its trust while it may be served, and all heals."""

from __future__ import annotations

import contextlib
import copy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from injector.controller import objects, rotation
from injector.controller.certificates import Certificates
from injector.controller.metrics import ControllerMetrics
from injector.controller.objects import AUTHORITY_SECRET, CONFIGURATION, SERVING_SECRET, serving_names
from injector.controller.rotation import RETIRE_AFTER, Policy, State, Step, due, plan
from injector.kube.errors import AlreadyExists, Conflict
from injector.pki import Certificate, issue, make_authority, read_bundle, signed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from injector.kube.resources import Resource

NAMESPACE = "injector-system"
POLICY = Policy(
    names=serving_names(NAMESPACE),
    ca_lifetime=timedelta(days=30),
    leaf_lifetime=timedelta(days=6),
    propagation_delay=timedelta(seconds=60),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
ENTRIES = ("namespaces.injector.mesh", "pods.injector.mesh", "annotated-pods.injector.mesh")


class World:
    """The API server's three objects, a clock, and every leaf that a webhook may still be serving."""

    def __init__(self) -> None:
        self.now = START
        self.version = 0
        self.stored: dict[str, dict[str, Any]] = {}
        self.configuration: dict[str, Any] | None = None
        self.served: list[tuple[Certificate, Certificate, datetime | None]] = []
        self.crash()

    # What the controller sees of it: the requests it makes.

    async def get(self, _: Resource, *, name: str, **__: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "uid": "namespace-uid"}}

    async def create(self, _: Resource, body: dict[str, Any], *, namespace: str) -> None:
        if body["metadata"]["name"] in self.stored:
            raise AlreadyExists("there is one")
        self.store(body)

    async def replace(self, _: Resource, body: dict[str, Any], *, namespace: str) -> None:
        known = self.stored.get(body["metadata"]["name"])
        if known is None or known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict("it changed")
        self.store(body)

    async def apply(self, _: Resource, body: dict[str, Any], *, field_manager: str) -> None:
        assert self.configuration is not None
        before = self.trusted()
        self.configuration["metadata"]["ownerReferences"] = body["metadata"]["ownerReferences"]
        for entry, wanted in zip(self.configuration["webhooks"], body["webhooks"], strict=True):
            assert entry["name"] == wanted["name"]
            entry["clientConfig"]["caBundle"] = wanted["clientConfig"]["caBundle"]
        for leaf, issuer, replaced in self.served:
            may_be_served = leaf.valid(self.now) and (replaced is None or self.now < replaced + RETIRE_AFTER)
            if may_be_served and issuer.id in before and issuer.valid(self.now):
                assert issuer.id in self.trusted(), "a leaf that may be served lost its trust"

    def store(self, secret: dict[str, Any]) -> None:
        self.version += 1
        secret = copy.deepcopy(secret)
        secret["metadata"]["resourceVersion"] = str(self.version)
        self.stored[secret["metadata"]["name"]] = secret
        if secret["metadata"]["name"] == SERVING_SECRET:
            self.serve(objects.read_serving(secret))

    def serve(self, serving: objects.ServingPair) -> None:
        """A new leaf: the webhooks load it, though one that lost the API server goes on with the old."""
        assert serving.pair is not None
        leaf, (issuer,) = serving.pair.certificate, serving.issuers
        assert signed_by(leaf, issuer)
        assert leaf.names >= POLICY.names
        if self.configuration is not None:
            assert issuer.id in self.trusted(), "a leaf was made before its CA was in caBundle"
        self.served = [(old, by, since or self.now) for old, by, since in self.served]
        self.served.append((leaf, issuer, None))

    def trusted(self) -> set[str]:
        """The CAs in every caBundle."""
        assert self.configuration is not None
        read = objects.read_configuration(self.configuration)
        return set.intersection(*({known.id for known in read_bundle(text)} for _, text in read.bundles))

    # What a test does to it.

    def crash(self) -> None:
        """The controller dies; the next one remembers nothing."""
        metrics = ControllerMetrics(CollectorRegistry())
        self.controller = Certificates(self, NAMESPACE, POLICY, metrics, now=lambda: self.now)  # type: ignore[arg-type]

    def advance(self) -> Step | None:
        """Observe, plan, take a step: which one."""
        items: dict[str, Any] = {
            AUTHORITY_SECRET: (self.controller._authorities, objects.read_authorities),
            SERVING_SECRET: (self.controller._serving, objects.read_serving),
        }
        for name, (informer, read) in items.items():
            informer.items.clear()
            if name in self.stored:
                informer.items[NAMESPACE, name] = read(self.stored[name])
        self.controller._configuration.items.clear()
        if self.configuration is not None:
            self.controller._configuration.items["", CONFIGURATION] = objects.read_configuration(self.configuration)
        self.controller._repairs.level = 5.0  # nobody fights here
        before = self.steps()
        finish(self.controller._advance())
        return next((step for step, count in self.steps().items() if count > before[step]), None)

    def steps(self) -> dict[Step, float]:
        return {step: self.controller._metrics._steps.labels(step.value)._value.get() for step in Step}

    def install(self) -> None:
        webhooks = [{"name": name, "clientConfig": {}} for name in ENTRIES]
        self.configuration = {"metadata": {"name": CONFIGURATION}, "webhooks": webhooks}

    def settle(self, limit: timedelta = timedelta(minutes=3)) -> None:
        """Let the controller work until it has nothing to do for longer than `limit`."""
        quiet_since = self.now
        while self.now - quiet_since < limit:
            if self.advance() is not None:
                quiet_since = self.now
            self.now += timedelta(seconds=10)

    def healthy(self) -> bool:
        """Whether an API server would trust what is served now."""
        if not self.served or SERVING_SECRET not in self.stored:
            return False
        leaf, issuer, _ = self.served[-1]
        pair = objects.read_serving(self.stored[SERVING_SECRET]).pair
        if pair is None or pair.certificate.id != leaf.id or not leaf.valid(self.now) or not issuer.valid(self.now):
            return False
        return self.configuration is None or issuer.id in self.trusted()

    def harm(self, what: str) -> None:
        """Something that somebody, or time, does."""
        HARM[what](self)

    def delete(self, secret: str) -> None:
        self.stored.pop(secret, None)

    def revert(self, entries: int, bundle: str) -> None:
        for entry in (self.configuration or {"webhooks": []})["webhooks"][:entries]:
            entry["clientConfig"]["caBundle"] = bundle

    def uninstall(self) -> None:
        self.configuration = None

    def install_again(self) -> None:
        if self.configuration is None:
            self.install()

    def corrupt(self, secret: str, key: str) -> None:
        if secret in self.stored and key in self.stored[secret]["data"]:
            self.version += 1
            self.stored[secret]["data"][key] = "bm9uc2Vuc2U="
            self.stored[secret]["metadata"]["resourceVersion"] = str(self.version)


def finish(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never really waits, without the cost of an event loop."""
    with contextlib.suppress(StopIteration):
        work.send(None)
        raise AssertionError("it waits for something")


HARM: dict[str, Callable[[World], None]] = {
    "delete authority": lambda world: world.delete(AUTHORITY_SECRET),
    "delete serving": lambda world: world.delete(SERVING_SECRET),
    "corrupt authority": lambda world: world.corrupt(AUTHORITY_SECRET, "ca.key"),
    "corrupt next": lambda world: world.corrupt(AUTHORITY_SECRET, "next.crt"),
    "corrupt serving": lambda world: world.corrupt(SERVING_SECRET, "tls.crt"),
    "revert bundle": lambda world: world.revert(3, ""),
    "revert one entry": lambda world: world.revert(1, "bm9uc2Vuc2U="),
    "uninstall": World.uninstall,
    "install": World.install_again,
    "crash": World.crash,
}
PAUSES = st.sampled_from([1.0, 1.0, 1.0, 30.0, 61.0, 3601.0, 2 * 86400.0, 5 * 86400.0, 21 * 86400.0, 40 * 86400.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | st.sampled_from(sorted(HARM)), PAUSES, st.booleans()), max_size=25))
def test_whatever_happens_nothing_untrusted_is_served_and_all_heals(
    story: list[tuple[str | None, float, bool]],
) -> None:
    world = World()
    world.install()
    for harm, pause, works in story:
        if harm is not None:
            world.harm(harm)
        if works:
            world.advance()
        world.now += timedelta(seconds=pause)
    repaired_by = world.now + timedelta(minutes=1)
    while not world.healthy():
        world.advance()
        world.now += timedelta(seconds=1)
        assert world.now <= repaired_by, "repaired within a minute"
    world.settle()
    assert world.healthy()
    assert world.advance() is None


def test_the_first_installation_takes_three_steps_and_then_rests() -> None:
    world = World()
    world.install()
    assert [world.advance() for _ in range(4)] == [
        Step.CREATE_AUTHORITY,
        Step.PUBLISH_BUNDLE,
        Step.ISSUE_LEAF,
        None,
    ]


def test_without_a_configuration_there_is_a_leaf_all_the_same() -> None:
    world = World()
    assert [world.advance() for _ in range(3)] == [Step.CREATE_AUTHORITY, Step.ISSUE_LEAF, None]


def test_a_year_passes_with_every_review_trusted() -> None:
    """Look in every few hours, as an API server would, and never find a leaf it does not trust."""
    world = World()
    world.install()
    world.settle()
    seen: list[Step] = []
    while world.now < START + timedelta(days=365):
        step = world.advance()
        assert world.healthy()
        if step is None:
            world.now += timedelta(hours=5)
        else:
            seen.append(step)
            world.now += timedelta(seconds=5)
    assert seen.count(Step.PROMOTE_AUTHORITY) in range(15, 20), "a CA of 30 days is followed after some 20"
    assert seen.count(Step.ISSUE_LEAF) > 85
    assert seen.count(Step.RETIRE_AUTHORITIES) == seen.count(Step.PROMOTE_AUTHORITY)
    assert Step.CREATE_AUTHORITY not in seen


def test_a_new_authority_is_published_for_the_whole_delay_before_it_signs() -> None:
    world = World()
    world.install()
    world.settle()
    current = objects.read_authorities(world.stored[AUTHORITY_SECRET]).current
    assert current is not None
    world.now = due(current.certificate)
    while world.advance() is not Step.PREPARE_AUTHORITY:
        world.now += timedelta(seconds=1)
    assert world.advance() is Step.PUBLISH_BUNDLE
    published = world.now
    assert len(world.trusted()) == 2
    while (step := world.advance()) is not Step.PROMOTE_AUTHORITY:
        assert step is None
        world.now += timedelta(seconds=1)
    assert world.now - published >= POLICY.propagation_delay
    assert [world.advance() for _ in range(3)] == [Step.PUBLISH_BUNDLE, Step.ISSUE_LEAF, None]
    assert len(world.trusted()) == 2, "the old one stays for a while"
    world.now += RETIRE_AFTER + timedelta(minutes=1)
    assert [world.advance() for _ in range(3)] == [Step.RETIRE_AUTHORITIES, Step.PUBLISH_BUNDLE, None]
    assert len(world.trusted()) == 1


def test_a_reverted_bundle_is_put_right_in_one_step_and_equal_bytes_are_left_alone() -> None:
    world = World()
    world.install()
    world.settle()
    for harm in ("revert bundle", "revert one entry"):
        world.harm(harm)
        assert [world.advance() for _ in range(2)] == [Step.PUBLISH_BUNDLE, None]


def test_losing_the_authority_keeps_the_served_leaf_trusted_until_the_new_one_is_everywhere() -> None:
    world = World()
    world.install()
    world.settle()
    world.harm("delete authority")
    world.harm("delete serving")
    steps = [world.advance() for _ in range(3)]
    assert steps == [Step.CREATE_AUTHORITY, Step.PUBLISH_BUNDLE, Step.ISSUE_LEAF]
    assert world.healthy()


def test_a_missing_owner_is_put_right() -> None:
    world = World()
    world.install()
    world.settle()
    assert world.configuration is not None
    del world.configuration["metadata"]["ownerReferences"]
    assert world.advance() is Step.PUBLISH_BUNDLE
    assert world.configuration["metadata"]["ownerReferences"][0]["uid"] == "namespace-uid"


def test_a_leaf_for_other_names_is_replaced() -> None:
    authority = make_authority(START, POLICY.ca_lifetime)
    leaf = issue(authority, ["elsewhere.svc"], START, POLICY.leaf_lifetime).certificate
    known = authority.certificate
    state = State(
        current=known,
        leaf=leaf,
        leaf_issuer=known.id,
        installed=True,
        published=True,
        trusted_since={known.id: START},
    )
    assert plan(state, POLICY, START).again == START + POLICY.propagation_delay
    assert plan(state, POLICY, START + POLICY.propagation_delay).step is Step.ISSUE_LEAF


def test_it_looks_again_when_the_leaf_expires_however_long_its_authority_is_not_everywhere() -> None:
    authority = make_authority(START, POLICY.ca_lifetime)
    known = authority.certificate
    leaf = issue(authority, POLICY.names, START, timedelta(seconds=20)).certificate
    for issuer in (known, make_authority(START, POLICY.ca_lifetime).certificate):
        # A leader that has just been elected has seen the bundle only now.
        state = State(
            current=known,
            previous=(issuer,),
            leaf=leaf,
            leaf_issuer=issuer.id,
            installed=True,
            published=True,
            trusted_since={known.id: START},
        )
        assert plan(state, POLICY, START).again == leaf.not_after
        assert plan(state, POLICY, leaf.not_after).step is Step.ISSUE_LEAF


@pytest.mark.parametrize("lifetime", [timedelta(minutes=3), timedelta(days=6), timedelta(days=3650)])
def test_renewal_falls_between_two_thirds_and_a_twentieth_later(lifetime: timedelta) -> None:
    moments = set()
    for _ in range(10):
        certificate = make_authority(START, lifetime).certificate
        share = (due(certificate) - START) / lifetime
        assert 2 / 3 <= share <= 2 / 3 + 1 / 20
        moments.add(due(certificate))
    assert len(moments) > 5, "spread"


def test_the_bundle_is_in_a_stable_order_and_free_of_what_expired() -> None:
    old = make_authority(START - timedelta(days=60), timedelta(days=10)).certificate
    current, following = (make_authority(START, POLICY.ca_lifetime).certificate for _ in range(2))
    state = State(current=current, next=following, previous=(old, current))
    assert rotation.bundle(state, START) == (current, following)
