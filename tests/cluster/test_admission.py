"""Every pod of the table before a real API server: injected as the preview says, left alone, or refused, with words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from injector.inject.annotations import KEYS
from injector.inject.decision import SkipReason
from injector.inject.names import CONTAINERS, INJECT
from injector.inject.refusal import RefusalReason
from injector.inject.uninject import uninject
from injector.webhook.review import MESSAGE_CHARACTERS
from tests.cluster.admission import preview
from tests.cluster.admission.cases import Case, all_cases, as_manifest
from tests.cluster.admission.compare import normal, without_pod_requests
from tests.cluster.support.api import Answer, Api
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Sandbox

CASES: Final = all_cases()
NEVER_SENT: Final = {SkipReason.NOT_ENABLED, SkipReason.SYSTEM_NAMESPACE}
"""Skips that no pod's own look can lead to; tests/cluster/test_admission_entries.py has them."""

DENIED: Final = re.compile(r'admission webhook "pods\.injector\.mesh" denied the request: (.*)', re.DOTALL)


@dataclass(frozen=True)
class Rig:
    """A namespace in the mesh, one outside, and every case's pod before and after the command line's preview."""

    meshed: Sandbox
    plain: Sandbox
    pods: dict[str, Json]
    previews: dict[str, Json]
    refusals: dict[str, list[tuple[str, str]]]

    def create(self, pod: Json) -> Answer:
        """The pod in the opted-in namespace, through all of admission and validation, and then not stored."""
        return self.meshed.api.create(pod, self.meshed.name, dry_run=True)

    def create_outside(self, pod: Json) -> Answer:
        """The same where nobody asked for the mesh, the pod itself included."""
        annotations = {key: value for key, value in _annotations(pod).items() if key != INJECT}
        pod = {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}
        return self.plain.api.create(pod, self.plain.name, dry_run=True)

    def outcome_outside(self, pod: Json) -> Answer | ApiError:
        """What the API server itself makes of the pod, yes or no."""
        try:
            return self.create_outside(pod)
        except ApiError as error:
            return error


def _annotations(pod: Json) -> dict[str, str]:
    return pod["metadata"].get("annotations") or {}


@pytest.fixture(scope="module")
def rig(cluster: Cluster, api: Api, mesh: Mesh) -> Iterator[Rig]:
    meshed, plain = Sandbox(cluster, api, "admission"), Sandbox(cluster, api, "admission-outside")
    try:
        meshed.open(meshed=True)
        plain.open(meshed=False)
        pods = {case.name: _pod(case, meshed) for case in CASES}
        accepted = [case for case in CASES if case.verdict in ("injected", "skipped")]
        previews = preview.previewed(cluster, meshed.name, (pods[case.name] for case in accepted))
        refused = [pods[case.name] for case in CASES if case.verdict == "refused"]
        yield Rig(
            meshed,
            plain,
            pods,
            {case.name: made for case, made in zip(accepted, previews, strict=True)},
            preview.refusals(cluster, meshed.name, refused),
        )
    finally:
        meshed.remove()
        plain.remove()


def _pod(case: Case, meshed: Sandbox) -> Json:
    if not case.changes_injected:
        return case.manifest
    return case.changed(meshed.api.create(case.manifest, meshed.name, dry_run=True).object)


def cases(verdict: str) -> pytest.MarkDecorator:
    chosen = [case for case in CASES if case.verdict == verdict]
    return pytest.mark.parametrize("case", chosen, ids=[case.name for case in chosen])


@cases("injected")
def test_it_is_injected_as_the_preview_says_and_nothing_else_of_it_changes(rig: Rig, case: Case) -> None:
    pod = rig.pods[case.name]
    injected = rig.create(pod)
    spec = injected.object["spec"]
    assert [container["name"] for container in spec["initContainers"][:2]] == ["injector-init", "injector-proxy"]

    by_preview = rig.create_outside(rig.previews[case.name]).object
    assert normal(spec) == normal(by_preview["spec"])

    outside = rig.outcome_outside(pod)
    _warned_of(case, injected.warnings, outside)
    if not case.changes_injected:
        assert isinstance(outside, Answer)
        bare = uninject(injected.object)["spec"]
        assert normal(without_pod_requests(bare)) == normal(without_pod_requests(outside.object["spec"]))
        assert _annotations(injected.object) == _annotations(pod)
        classes = [each["status"]["qosClass"] for each in (outside.object, injected.object)]
        assert classes in (["BestEffort", "Burstable"], ["BestEffort"] * 2, ["Burstable"] * 2, ["Guaranteed"] * 2)

    again = rig.create(as_manifest(injected.object)).object
    assert again["spec"] == spec


@cases("skipped")
def test_it_is_left_as_it_is_and_the_author_is_told_why(rig: Rig, case: Case) -> None:
    pod = rig.pods[case.name]
    answer, outside = rig.create(pod), rig.create_outside(pod)
    assert normal(answer.object["spec"]) == normal(outside.object["spec"])
    assert rig.previews[case.name]["spec"] == pod["spec"]
    _warned_of(case, answer.warnings, outside)


@cases("refused")
def test_it_is_refused_for_what_is_wrong_with_it(rig: Rig, case: Case) -> None:
    faults = rig.refusals[_name(case)]
    assert tuple(dict.fromkeys(reason for reason, _ in faults)) == case.reasons
    with pytest.raises(ApiError) as refused:
        rig.create(rig.pods[case.name])
    assert refused.value.status == 403
    denied = DENIED.search(refused.value.message)
    assert denied, refused.value.message
    assert case.says in denied[1]
    assert denied[1] == "; ".join(message for _, message in faults)[:MESSAGE_CHARACTERS]


@cases("rejected")
def test_what_the_api_server_refuses_it_refuses_in_the_same_words(rig: Rig, case: Case) -> None:
    own = rig.outcome_outside(rig.pods[case.name])
    assert isinstance(own, ApiError), "Kubernetes takes it after all"
    with pytest.raises(ApiError) as refused:
        rig.create(rig.pods[case.name])
    assert refused.value.status == own.status
    assert _words(refused.value, rig.meshed) == _words(own, rig.plain)


def _words(error: ApiError, where: Sandbox) -> str:
    """The message without what must differ: the namespace, and the place among init containers."""
    return re.sub(r"initContainers\[\d+\]", "initContainers[]", error.message.replace(where.name, "NAMESPACE"))


def _name(case: Case) -> str:
    metadata = case.manifest["metadata"]
    return str(metadata.get("name") or metadata["generateName"])


def _warned_of(case: Case, warnings: tuple[str, ...], outside: Answer | ApiError) -> None:
    """Each expected warning and no other, beside those that Kubernetes itself gives outside the mesh."""
    ours = [warning for warning in warnings if warning not in outside.warnings]
    told = [part for part, warning in zip(case.warns, ours, strict=False) if part in warning]
    assert len(told) == len(case.warns) == len(ours), f"expected {case.warns}, got {ours}"


def test_the_table_has_every_reason_and_every_annotation() -> None:
    skipped = {reason for case in CASES if case.verdict == "skipped" for reason in case.reasons}
    assert skipped == set(SkipReason) - NEVER_SENT
    assert {reason for case in CASES if case.verdict == "refused" for reason in case.reasons} == set(RefusalReason)
    said = [(case.verdict, set(_annotations(case.manifest))) for case in CASES]
    for key in KEYS:
        assert any(verdict == "injected" and key.annotation in keys for verdict, keys in said), f"no good {key.name}"
        assert any(verdict == "refused" and key.annotation in keys for verdict, keys in said), f"no bad {key.name}"
    assert len(CASES) >= 60


def test_a_pod_close_to_1_mb_is_stored(rig: Rig) -> None:
    pod = rig.pods["close-to-1-mb-of-environment"]
    gated = {**pod, "spec": {**pod["spec"], "schedulingGates": [{"name": "injector.mesh-tests/never"}]}}
    stored = rig.meshed.create(gated).object
    names = {container["name"] for container in stored["spec"]["initContainers"]}
    assert names >= CONTAINERS
    rig.meshed.api.delete("Pod", stored["metadata"]["name"], rig.meshed.name, grace_seconds=0)
