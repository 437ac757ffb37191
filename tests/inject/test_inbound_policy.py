"""Whom a default inbound policy lets in, and that a pod never lets in more than its namespace."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject import ports, values
from injector.inject.inbound_policy import OPEN, POLICIES, ports_beyond, subnets_beyond, weakens
from injector.inject.model import Namespace
from injector.inject.review import review_namespace
from injector.inject.settings import resolve
from tests.inject.objects import annotated, faults, pod

WEAKEST_FIRST = (
    "all-unauthenticated",
    "cluster-unauthenticated",
    "all-authenticated",
    "cluster-authenticated",
    "deny",
)


@pytest.mark.parametrize(("policy", "bound"), list(product(WEAKEST_FIRST, repeat=2)))
def test_a_policy_weakens_those_that_let_in_fewer(policy: str, bound: str) -> None:
    assert weakens(policy, bound) == (WEAKEST_FIRST.index(policy) < WEAKEST_FIRST.index(bound))


def test_only_the_weakest_keeps_nobody_out() -> None:
    assert [policy for policy in POLICIES if not weakens(OPEN, policy)] == [OPEN]


@pytest.mark.parametrize(
    ("caller", "policies"),
    [
        (("elsewhere", "unauthenticated"), WEAKEST_FIRST[:1]),
        (("cluster", "unauthenticated"), WEAKEST_FIRST[:2]),
        (("elsewhere", "authenticated"), WEAKEST_FIRST[:3]),
        (("cluster", "authenticated"), WEAKEST_FIRST[:4]),
    ],
)
def test_each_kind_of_caller_is_let_in_by_these(caller: tuple[str, str], policies: tuple[str, ...]) -> None:
    """As injector/proxy/src/policy.rs judges them."""
    assert tuple(policy for policy, callers in POLICIES.items() if caller in callers) == policies


@pytest.mark.parametrize(("policy", "bound"), list(product(POLICIES, POLICIES)))
@pytest.mark.parametrize("setter", ["namespace", "installation"])
def test_a_pod_cannot_weaken_what_stands_above_it(policy: str, bound: str, setter: str) -> None:
    namespace = annotated(default_inbound_policy=bound) if setter == "namespace" else {}
    installation = {"default-inbound-policy": bound if setter == "installation" else "all-unauthenticated"}
    resolution = resolve(annotated(default_inbound_policy=policy), namespace, installation)
    if weakens(policy, bound):
        (fault,) = resolution.faults
        assert fault == (
            f"injector.mesh/default-inbound-policy: expected nobody let in beyond {bound!r} (from the {setter}), "
            f"got {policy!r}"
        )
    else:
        assert (resolution.faults, resolution.settings.default_inbound_policy) == ((), policy)


def test_a_namespace_may_let_in_more_than_the_installation_does() -> None:
    resolution = resolve(
        {}, annotated(default_inbound_policy="all-unauthenticated"), {"default-inbound-policy": "deny"}
    )
    assert resolution.settings.default_inbound_policy == "all-unauthenticated"


class TestAWordThatCannotBeRead:
    """What was to keep somebody out keeps everybody out until it is corrected."""

    NAMESPACE = annotated(default_inbound_policy="al-authenticated")
    SAID = "got 'al-authenticated' on the namespace; its pods are refused until that is corrected"

    @pytest.mark.parametrize("own", [{}, annotated(default_inbound_policy="deny")], ids=["silent", "with its own word"])
    def test_on_a_namespace_refuses_its_pods(self, own: dict[str, str]) -> None:
        (fault,) = faults(pod(annotations=own), Namespace("shop", annotations=self.NAMESPACE))
        assert fault.reason == "bad-value"
        assert fault.message.endswith(self.SAID)

    def test_is_told_when_the_namespace_is_annotated(self) -> None:
        said = review_namespace({"metadata": {"name": "shop", "annotations": self.NAMESPACE}}).warnings
        assert [warning for warning in said if warning.endswith(self.SAID)]


class TestSkips:
    """What does not pass through the proxy does not meet its policy."""

    def told(self, own: dict[str, str], **namespace: str) -> tuple[str, ...]:
        return resolve(own, annotated(**namespace), {}).faults

    def test_a_pod_may_skip_what_it_likes_where_nobody_is_kept_out(self) -> None:
        assert self.told(annotated(skip_inbound_ports="1-65535", skip_inbound_subnets="0.0.0.0/0")) == ()

    @pytest.mark.parametrize("policy", WEAKEST_FIRST[1:])
    def test_a_pod_cannot_skip_its_namespaces_policy(self, policy: str) -> None:
        own = annotated(skip_inbound_ports="80,9000-9010", skip_inbound_subnets="fd00::/8,10.0.0.0/8")
        why = f"expected no more than its namespace's, for it skips the policy {policy!r} (from the namespace)"
        assert self.told(own, default_inbound_policy=policy) == (
            f"injector.mesh/skip-inbound-ports: {why}, got '80, 9000-9010'",
            f"injector.mesh/skip-inbound-subnets: {why}, got '10.0.0.0/8, fd00::/8'",
        )

    def test_not_even_with_a_policy_of_its_own(self) -> None:
        own = annotated(skip_inbound_ports="80", default_inbound_policy="deny")
        assert len(self.told(own, default_inbound_policy="all-authenticated")) == 1

    def test_the_installations_policy_holds_where_the_namespace_says_nothing(self) -> None:
        (fault,) = resolve(annotated(skip_inbound_ports="80"), {}, {"default-inbound-policy": "deny"}).faults
        assert "(from the installation)" in fault

    def test_what_the_namespace_skips_a_pod_may_skip_in_part(self) -> None:
        granted = {"skip_inbound_ports": "80,9000-9100", "skip_inbound_subnets": "10.0.0.0/8"}
        own = annotated(skip_inbound_ports="9000-9010", skip_inbound_subnets="10.1.0.0/16")
        assert self.told(own, default_inbound_policy="deny", **granted) == ()

    def test_a_pod_may_narrow_by_its_own_policy_what_only_it_skips(self) -> None:
        own = annotated(skip_inbound_ports="80", default_inbound_policy="all-authenticated")
        assert self.told(own) == ()

    @pytest.mark.parametrize("setting", ["skip_outbound_ports", "skip_outbound_subnets"])
    def test_what_a_pod_opens_itself_is_not_the_policys(self, setting: str) -> None:
        words = {"skip_outbound_ports": "80", "skip_outbound_subnets": "10.0.0.0/8"}
        assert self.told(annotated(**{setting: words[setting]}), default_inbound_policy="deny") == ()


PORT_RANGES = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=5).map(
    lambda pairs: ports.merge(ports.PortRange(first, first + more) for first, more in pairs)
)


@given(PORT_RANGES, PORT_RANGES)
def test_ports_beyond_others_are_exactly_ranges_with_a_port_that_is_not_among_them(
    own: tuple[ports.PortRange, ...], granted: tuple[ports.PortRange, ...]
) -> None:
    def among(port: int) -> bool:
        return any(port in it for it in granted)

    beyond = [it for it in own if not all(among(port) for port in range(it.first, it.last + 1))]
    assert list(ports_beyond(own, granted)) == beyond


SUBNETS = st.lists(st.tuples(st.integers(0, 15), st.integers(28, 32), st.booleans()), max_size=4).map(
    lambda items: values.subnet_list(",".join(map(_subnet, items)))
)


def _subnet(item: tuple[int, int, bool]) -> str:
    address, length, v6 = item
    first = address >> (32 - length) << (32 - length)
    return f"2001:db8::{first:x}/{96 + length}" if v6 else f"192.0.2.{first}/{length}"


@given(SUBNETS, SUBNETS)
def test_subnets_beyond_others_are_exactly_those_with_an_address_that_is_not_among_them(
    own: tuple[values.Subnet, ...], granted: tuple[values.Subnet, ...]
) -> None:
    def among(address: object) -> bool:
        return any(address in it for it in granted)

    assert list(subnets_beyond(own, granted)) == [it for it in own if not all(map(among, it))]
