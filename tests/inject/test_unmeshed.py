"""Pods that should have a proxy and run without one are told; the others are left in peace."""

import pytest

from injector.inject.model import Json, Namespace
from injector.inject.unmeshed import Unmeshed, UnmeshedReason, unmeshed
from tests.inject.objects import INSTALLATION, annotated, container, injected, pod

OPTED_IN = Namespace("shop", labels=annotated(inject="enabled"))


def observed(subject: Json, phase: str = "Running") -> Json:
    return {**subject, "status": {"phase": phase}}


def test_a_pod_that_was_there_before_its_namespace_was_opted_in_is_told() -> None:
    assert unmeshed(observed(pod()), OPTED_IN, INSTALLATION) == Unmeshed(
        UnmeshedReason.NOT_INJECTED,
        "runs without a proxy although it asked for one; recreate it, for example by a rollout restart",
    )


def test_a_pod_that_asked_for_itself_is_told_too() -> None:
    assert unmeshed(observed(pod(annotations=annotated(inject="enabled"))), Namespace("shop"), INSTALLATION)


def test_a_pod_that_could_not_have_a_proxy_is_told_why() -> None:
    culprit = pod(container(securityContext={"runAsUser": 2102}), annotations=annotated(log_level="loud"))
    found = unmeshed(observed(culprit), OPTED_IN, INSTALLATION)
    assert found is not None
    assert found.reason is UnmeshedReason.REFUSED
    assert found.message.startswith("runs without a proxy, and would be refused today: injector.mesh/log-level: ")
    assert "; container 'web' runs as user 2102" in found.message


@pytest.mark.parametrize(
    "subject",
    [
        observed(injected(pod())),
        observed(injected(pod(), namespace=Namespace("shop", annotations=annotated(log_level="debug")))),
        observed(pod(), "Succeeded"),
        observed(pod(), "Failed"),
        {**pod(), "metadata": {"name": "web-0", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        observed(pod(hostNetwork=True)),
        observed(pod(annotations=annotated(inject="disabled"))),
        observed(pod(annotations={"kubernetes.io/config.mirror": "x"})),
    ],
)
def test_others_are_left_in_peace(subject: Json) -> None:
    assert unmeshed(subject, OPTED_IN, INSTALLATION) is None


def test_a_pod_of_a_namespace_that_did_not_ask_is_left_in_peace() -> None:
    assert unmeshed(observed(pod()), Namespace("shop"), INSTALLATION) is None
