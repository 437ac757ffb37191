"""Rotation of roots and issuer by the real steps on real certificates, in a world where everybody is late: whatever the
order, and whatever is forgotten on the way, no running pod shows a certificate that another does not accept."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from injector.controller.roots.plan import Phase, Step
from injector.controller.roots.record import Kind
from injector.pki import signed_by
from tests.controller.roots.world import DEEDS, START, settled

# The controller looks all the time, and mostly knows what the pods said last.
STORIES = st.lists(
    st.tuples(st.sampled_from(sorted(DEEDS)), st.sampled_from([True, True, False]), st.booleans()), max_size=60
)


def story(*deeds: str) -> list[tuple[str, bool, bool]]:
    """One that is told on purpose; the controller works, and knows what was said, after each deed."""
    return [(deed, True, True) for deed in deeds]


@settings(max_examples=150, deadline=None)
@given(STORIES)
# A pod that has read nothing new meets one with a new certificate.
@example(story("carry", "read 0", "a minute", "issue", "hear 0", "hear 1", "certify 0", "certify 1"))
# A pod that has read everything new meets one with an old certificate.
@example(story("carry", "read 0", "read 1", "a minute", "issue", "carry", "a minute", "carry", "read 0"))
# A pod that was made before there was a new root runs when it signs already.
@example(story("mount", "carry", "read 0", "read 1", "issue", "hear 0", "certify 0", "run 1"))
# A replica of the issuer that has not heard of the new one gives out a certificate of the old.
@example(
    story(*["carry", "read 0", "read 1", "a minute", "issue", "hear 0", "certify 0", "certify 0", "stop"])
    + story("certify 0", "carry", "certify 0 elsewhere", "mount", "run 0")
)
# The Secret is lost when the next root is in it.
@example(story("carry", "mount", "lose secret", "carry", "run 0", "a minute", "issue", "certify 0"))
def test_in_no_order_is_there_a_pod_whose_certificate_another_does_not_accept(
    told: list[tuple[str, bool, bool]],
) -> None:
    world = settled()
    world.ask(Kind.ROOT)
    assert [world.advance(), world.advance()] == [Step.PREPARE_ROOT, Step.PUBLISH]
    for deed, works, listens in told:
        DEEDS[deed](world)
        world.check()
        if listens:
            world.listen()
        if works:
            world.advance()
            world.advance()
    world.settle()
    record = world.published.record
    assert record.running is None, "what was begun is finished"
    assert world.kept.next is None
    assert world.published.roots == (world.kept.current.certificate if world.kept.current else None,)
    assert world.published.issuer is not None
    assert signed_by(world.published.issuer, world.published.roots[0])


def test_a_root_is_replaced_when_a_third_of_its_life_is_left() -> None:
    world = settled()
    (old,) = world.published.roots
    world.now = old.not_after - (old.not_after - START) / 3 - timedelta(days=1)
    for _ in range(5):
        assert world.advance() in (None, Step.SIGN_ISSUER), "the issuer's year was over long before"
    world.now += timedelta(days=2)
    assert world.advance() is Step.PREPARE_ROOT
    world.settle()
    assert old not in world.published.roots
    rotation = world.published.record.rotation
    assert rotation is not None
    assert (rotation.by.value, rotation.phase) == ("age", Phase.DONE)


def test_while_one_pod_is_silent_nothing_goes_on() -> None:
    world = settled()
    world.ask(Kind.ROOT)
    (old,) = world.published.roots
    for _ in range(10):
        world.advance()
        world.carry()
        world.issue()
        world.read(0)
        world.listen()
        world.wait(61)
    assert world.kept.current is not None
    assert world.kept.current.certificate == old
    rotation = world.published.record.running
    assert rotation is not None
    assert (rotation.phase, rotation.behind, rotation.pods) == (Phase.ROOTS, 1, 2)
    assert [laggard.pod for laggard in rotation.laggards] == ["shop/pod2"]
