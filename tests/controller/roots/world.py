"""A mesh in which everybody is late: the objects of a rotation, and who reads them at moments of their own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from injector.controller.objects import join
from injector.controller.roots.acknowledgements import Heard, Trusts
from injector.controller.roots.changes import change
from injector.controller.roots.objects import (
    Kept,
    Publication,
    Published,
    Seen,
    kept_secret,
    published_config_map,
    read_kept,
    read_published,
)
from injector.controller.roots.observe import behind, observe, publication
from injector.controller.roots.plan import Policy, Step, plan
from injector.controller.roots.record import Command, Kind, counted, follow
from injector.pki import issuer_request, new_key, signed_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.pki import Certificate

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE = timedelta(seconds=60)
POLICY = Policy(timedelta(days=3650), timedelta(days=365), SETTLE)
LAST = START + timedelta(days=3000)
"""Before any root expires: what has expired is replaced without waiting, for nobody can be heard then."""


@cache
def vouches(root: Certificate, issuer: Certificate) -> bool:
    """Whether the root signed the issuer; asked so often that the answers are kept."""
    return signed_by(issuer, root)


@dataclass
class Pod:
    """Which roots it accepts, and whose certificate it shows."""

    roots: tuple[Certificate, ...]
    issuer: Certificate | None = None
    read_at: datetime = START


@dataclass
class World:
    """The objects; the namespaces' copy of the roots; the issuer's two replicas; pods that run, and pods that have been
    given their files but do not run yet. `heard` is what the pods said when they were last asked."""

    now: datetime = START
    kept: Kept = field(default_factory=Kept)
    published: Published = field(default_factory=Published)
    request: bytes = b""
    wish: Command | None = None
    wished: int = 0
    answered: int = 0
    carried: tuple[Certificate, ...] = ()
    replicas: list[tuple[Certificate | None, datetime]] = field(default_factory=lambda: [(None, START)] * 2)
    running: dict[str, Pod] = field(default_factory=dict)
    starting: dict[str, Pod] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)
    born: int = 0

    # What the controller does.

    def advance(self) -> Step | None:
        """Observe, plan, take a step, forget everything."""
        seen = Seen(self.kept, self.published, self.request, self.wish)
        state = observe(seen, self.now, everywhere=join(self.carried) == join(self.published.roots))
        running = {uid: f"shop/{uid}" for uid in self.running}
        late = behind(state, self.published.record, running, self.heard)
        state = replace(state, without_root=len(late), without_certificate=len(late))
        known = counted(follow(self.published.record, state, self.wish, self.now), len(running), late)
        step = plan(state, POLICY, self.now).step
        if step is None:
            self._publish(publication(state, self.published.chain, known))
            return None
        written = change(step, seen, state, known, POLICY, self.now)
        if isinstance(written, Kept):
            self.kept = read_kept({"data": {}} | kept_secret(written) | {"metadata": {"resourceVersion": "1"}})
        else:
            self._publish(written)
        return step

    def _publish(self, said: Publication) -> None:
        """By way of the object, as it is stored."""
        stored = published_config_map(said.data(), "1")
        self.published = read_published(stored)

    # What others do, each at a moment of its own.

    def carry(self) -> None:
        """The namespaces get the roots."""
        if self.published.roots:
            self.carried = self.published.roots

    def issue(self) -> None:
        """The issuer's leader asks for what it has not got."""
        root = self.kept.current.certificate if self.kept.current else None
        issuer = self.published.issuer
        current = {r.id: r for r in self.published.roots}.get(root.id) if root else None
        due = issuer is None or (current is not None and not signed_by(issuer, current))
        wanted = self.published.record.issuer_wanted
        if due or wanted > self.answered:
            self.answered = wanted
            self.request = issuer_request(new_key(), self.now)

    def hear_of_issuer(self, replica: int) -> None:
        """A replica takes up the issuer that is published."""
        self.replicas[replica] = (self.published.issuer or self.replicas[replica][0], self.now)

    def mount(self) -> None:
        """A pod's files are made; it runs later."""
        if self.carried:
            self.born += 1
            self.starting[f"pod{self.born}"] = Pod(self.carried, read_at=self.now)

    def run(self, replica: int) -> None:
        """The pods that have their files start, and are certified."""
        if (issuer := self.replicas[replica][0]) is not None:
            for pod in self.starting.values():
                pod.issuer = issuer
            self.running |= self.starting
            self.starting = {}

    def read(self, pod: int) -> None:
        """A pod reads its files again."""
        for running in self._chosen(pod):
            running.roots = self.carried

    def certify(self, pod: int, replica: int) -> None:
        """A pod gets another certificate, from whichever replica."""
        if (issuer := self.replicas[replica][0]) is not None:
            for running in self._chosen(pod):
                running.issuer = issuer

    def stop(self, pod: int) -> None:
        """A pod goes."""
        for name in list(self.running)[pod : pod + 1]:
            del self.running[name]

    def _chosen(self, pod: int) -> list[Pod]:
        return list(self.running.values())[pod : pod + 1]

    def listen(self) -> None:
        """The pods are asked; what they say is old as soon as it is said."""
        self.heard = Heard(
            {
                ("shop", uid): Trusts(frozenset(root.id for root in pod.roots), pod.issuer.id if pod.issuer else "")
                for uid, pod in self.running.items()
            }
        )

    def ask(self, kind: Kind) -> None:
        """A person asks for a rotation."""
        self.wished += 1
        self.wish = Command(f"wish{self.wished}", kind, force=False)

    def wait(self, seconds: float) -> None:
        """Time goes by; nobody is behind for longer than it takes to settle."""
        self.now = min(self.now + timedelta(seconds=seconds), LAST)
        for pod in self.starting.values():
            if self.now - pod.read_at >= SETTLE:
                pod.roots, pod.read_at = self.carried, self.now
        for number, (_, heard_at) in enumerate(self.replicas):
            if self.now - heard_at >= SETTLE:
                self.hear_of_issuer(number)

    def lose_secret(self) -> None:
        """Somebody deletes the root's Secret."""
        if self.published.roots:
            self.kept = Kept()

    def forget(self) -> None:
        """Somebody deletes ConfigMap injector-identity, while the Secret is there."""
        if self.kept.current is not None:
            self.published = Published()

    # What must hold.

    def check(self) -> None:
        for shows in self.running.values():
            for judges in self.running.values():
                assert shows.issuer is not None
                assert any(vouches(root, shows.issuer) for root in judges.roots), "a pod refuses another"

    def settle(self) -> None:
        """Everybody does what is to be done, again and again."""
        for _ in range(40):
            self.advance()
            self.carry()
            self.issue()
            for number in range(len(self.running)):
                self.read(number)
                self.certify(number, number % 2)
            self.listen()
            self.check()
            self.wait(61)
            self.check()


DEEDS: dict[str, Callable[[World], object]] = {
    "advance": World.advance,
    "carry": World.carry,
    "issue": World.issue,
    "hear 0": lambda world: world.hear_of_issuer(0),
    "hear 1": lambda world: world.hear_of_issuer(1),
    "mount": World.mount,
    "run 0": lambda world: world.run(0),
    "run 1": lambda world: world.run(1),
    "read 0": lambda world: world.read(0),
    "read 1": lambda world: world.read(1),
    "certify 0": lambda world: world.certify(0, 0),
    "certify 1": lambda world: world.certify(1, 1),
    "certify 0 elsewhere": lambda world: world.certify(0, 1),
    "stop": lambda world: world.stop(0),
    "listen": World.listen,
    "rotate root": lambda world: world.ask(Kind.ROOT),
    "rotate issuer": lambda world: world.ask(Kind.ISSUER),
    "a second": lambda world: world.wait(1),
    "a minute": lambda world: world.wait(61),
    "years": lambda world: world.wait(900 * 86400),
    "lose secret": World.lose_secret,
    "forget": World.forget,
}


def settled() -> World:
    """A mesh with two pods."""
    world = World()
    for _ in range(3):
        world.advance()
        world.carry()
        world.issue()
        world.advance()
        world.wait(61)
    world.mount()
    world.mount()
    world.run(0)
    assert len(world.running) == 2
    world.check()
    return world
