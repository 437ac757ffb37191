"""Pod Security is named wherever it forbids the init container."""

import pytest

from injector.inject.model import Namespace
from injector.inject.pod_security import enforced_level, warning
from injector.inject.review import Injected, Skipped, review_namespace
from tests.inject.objects import annotated, expect, pod, review

ENFORCE = "pod-security.kubernetes.io/enforce"
SAID = (
    "Pod Security {level!r} is enforced in namespace shop and forbids injector-init's NET_ADMIN: "
    "meshed pods will be refused there. Set pod-security.kubernetes.io/enforce=privileged"
)


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_level_that_forbids_net_admin_is_told(level: str) -> None:
    labels = {ENFORCE: level}
    assert enforced_level(labels) == level
    assert warning(labels, "shop") == SAID.format(level=level)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {ENFORCE: "privileged"},
        {ENFORCE: "strict"},  # what is no level is privileged for Kubernetes, which warns of it
        {"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/audit": "baseline"},
        {"pod-security.kubernetes.io/enforce-version": "latest"},
    ],
)
def test_other_labels_permit_the_mesh(labels: dict[str, str]) -> None:
    assert warning(labels, "shop") is None


def test_a_pod_that_is_injected_there_is_warned_of() -> None:
    namespace = Namespace("shop", labels={ENFORCE: "baseline"})
    assert expect(Injected, review(pod(), namespace)).warnings == (SAID.format(level="baseline"),)


def test_a_pod_that_is_skipped_there_is_not() -> None:
    namespace = Namespace("shop", labels={ENFORCE: "restricted"})
    assert expect(Skipped, review(pod(), namespace, opted_in=False)).warnings == ()


def test_opting_such_a_namespace_in_warns_at_once_and_before() -> None:
    metadata = {"name": "shop", "labels": {ENFORCE: "restricted"}, "annotations": annotated(inject="enabled")}
    assert review_namespace({"metadata": metadata}).warnings == (SAID.format(level="restricted"),)
    metadata["annotations"] = annotated(inject="disabled")
    assert review_namespace({"metadata": metadata}).warnings == ()
