"""Which pods the mesh takes, and why it leaves the others."""

import pytest

from injector.inject.decision import OTHER_MESHES, QUIET, Inject, Skip, SkipReason, decide
from injector.inject.model import Json, Namespace
from injector.inject.review import Injected, Skipped
from tests.inject.objects import annotated, container, expect, pod, review

PLAIN = Namespace("shop")
LABELLED = Namespace("shop", labels=annotated(inject="enabled"))
ANNOTATED = Namespace("shop", annotations=annotated(inject="enabled"))
DISABLED = Namespace("shop", annotations=annotated(inject="disabled"))
LEFT = Namespace("shop", labels=annotated(inject="disabled"), annotations=annotated(inject="disabled"))


@pytest.mark.parametrize(
    ("word", "namespace", "opted_in", "decided"),
    [
        (None, PLAIN, False, Skip(SkipReason.NOT_ENABLED)),
        (None, DISABLED, False, Skip(SkipReason.NOT_ENABLED)),
        (None, LEFT, False, Skip(SkipReason.NOT_ENABLED)),
        (None, LABELLED, False, Inject()),
        (None, ANNOTATED, False, Inject()),
        (None, PLAIN, True, Inject()),  # a stale cache cannot lose a pod
        (None, DISABLED, True, Inject()),
        ("enabled", PLAIN, False, Inject()),
        ("enabled", DISABLED, False, Inject()),
        ("disabled", PLAIN, False, Skip(SkipReason.DISABLED_ON_POD)),
        ("disabled", ANNOTATED, True, Skip(SkipReason.DISABLED_ON_POD)),
        ("disabled", LABELLED, False, Skip(SkipReason.DISABLED_ON_POD)),
        (None, Namespace("kube-system"), True, Skip(SkipReason.SYSTEM_NAMESPACE)),
        ("enabled", Namespace("injector-system"), True, Skip(SkipReason.SYSTEM_NAMESPACE)),
        ("enabled", Namespace("kube-public"), False, Inject()),
    ],
)
def test_the_pods_word_counts_before_its_namespaces(
    word: str | None, namespace: Namespace, *, opted_in: bool, decided: Inject | Skip
) -> None:
    annotations = None if word is None else annotated(inject=word)
    assert decide(pod(annotations=annotations), namespace, opted_in=opted_in) == decided


SKIPPED = {
    SkipReason.HOST_NETWORK: pod(hostNetwork=True),
    SkipReason.WINDOWS: pod(os={"name": "windows"}),
    SkipReason.OTHER_MESH: pod(container(), container("istio-proxy")),
    SkipReason.MIRROR_POD: pod(annotations={"kubernetes.io/config.mirror": "0123abcd"}),
    SkipReason.DISABLED_ON_POD: pod(annotations=annotated(inject="disabled")),
}


@pytest.mark.parametrize(("reason", "subject"), SKIPPED.items(), ids=str)
def test_a_pod_that_cannot_have_a_proxy_is_skipped_with_a_warning_that_says_why(
    reason: SkipReason, subject: Json
) -> None:
    skipped = expect(Skipped, review(subject))
    assert skipped.reason is reason
    assert skipped.warnings == (f"not injected ({reason}): {reason.sentence}",)


def test_a_pod_that_did_not_ask_is_skipped_in_silence() -> None:
    assert expect(Skipped, review(pod(), opted_in=False)) == Skipped(SkipReason.NOT_ENABLED)


@pytest.mark.parametrize("name", sorted(OTHER_MESHES))
def test_every_other_meshs_container_is_known_wherever_it_stands(name: str) -> None:
    for subject in (pod(container(), container(name)), pod(initContainers=[container(name)])):
        assert decide(subject, LABELLED, opted_in=True) == Skip(SkipReason.OTHER_MESH)


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {"kubernetes.io/os": "windows"}},
        {"os": {"name": "windows"}, "nodeSelector": {}},
        {"os": None, "nodeSelector": {"kubernetes.io/os": "windows"}},
    ],
)
def test_windows_is_known_by_its_field_and_by_its_selector(spec: Json) -> None:
    assert decide(pod(**spec), LABELLED, opted_in=True) == Skip(SkipReason.WINDOWS)


@pytest.mark.parametrize(
    "spec",
    [
        {"hostNetwork": False},
        {"hostNetwork": None},
        {"os": {"name": "linux"}},
        {"os": {}},
        {"nodeSelector": {"kubernetes.io/os": "linux"}},
        {"nodeSelector": None},
        {"hostPID": True, "hostIPC": True, "hostUsers": False, "shareProcessNamespace": True},
        {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.10"]}},
        {"automountServiceAccountToken": False},
        {"securityContext": {"runAsNonRoot": True, "runAsUser": 1000}},
        {"initContainers": None, "volumes": None, "imagePullSecrets": None, "ephemeralContainers": None},
    ],
)
def test_pods_that_are_merely_unusual_are_taken(spec: Json) -> None:
    expect(Injected, review(pod(**spec)))


@pytest.mark.parametrize("metadata", [None, {}, {"annotations": None}, {"annotations": {}, "labels": None}])
def test_a_pod_without_annotations_is_as_good_as_any(metadata: Json | None) -> None:
    subject = pod()
    subject["metadata"] = metadata
    expect(Injected, review(subject))
    del subject["metadata"]
    expect(Injected, review(subject))


@pytest.mark.parametrize("reason", SkipReason)
def test_every_reason_has_a_slug_and_a_sentence(reason: SkipReason) -> None:
    assert reason == reason.name.lower().replace("_", "-")
    assert reason.sentence
    assert len(f"not injected ({reason}): {reason.sentence}") < 256, "the API server cuts warnings there"


def test_only_what_everybody_expects_goes_without_a_warning() -> None:
    assert set(SkipReason) - set(SKIPPED) - QUIET == {SkipReason.SYSTEM_NAMESPACE}
