"""Who is asked at all: namespaces that speak of the mesh, pods in them, and pods that speak for themselves."""

import re
from collections.abc import Callable
from typing import Final

import pytest
import yaml

from injector.inject.decision import SkipReason
from injector.inject.names import DISABLED, ENABLED, INJECT, SYSTEM_NAMESPACE
from injector.inject.pod_security import ENFORCE_LABEL
from tests.cluster.support import pods
from tests.cluster.support.api import Answer, Api
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.command import injector
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.webhook import reviews

NewNamespace = Callable[..., Sandbox]
GATES: Final = [{"name": "injector.mesh-tests/never"}]
"""For pods that shall exist and never run."""


def namespace(annotations: dict[str, str], labels: dict[str, str] | None = None) -> Json:
    metadata = {"generateName": "entries-", "annotations": annotations, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def created(api: Api, annotations: dict[str, str], labels: dict[str, str] | None = None) -> Answer:
    """A namespace as it would be created."""
    return api.create(namespace(annotations, labels), dry_run=True)


def label_of(found: Json) -> str | None:
    label: str | None = found["metadata"].get("labels", {}).get(INJECT)
    return label


def gated(name: str, annotations: dict[str, str] | None = None) -> Json:
    return pods.pod(name, pods.spec(schedulingGates=GATES), annotations=annotations)


@pytest.mark.usefixtures("mesh")
class TestNamespaces:
    """The label that webhooks select by, and the annotation that people write."""

    def test_the_annotation_brings_the_label_in_the_same_request(self, api: Api) -> None:
        answer = created(api, {INJECT: ENABLED}, {"team": "shop"})
        assert answer.object["metadata"]["labels"].items() >= {INJECT: ENABLED, "team": "shop"}.items()
        assert answer.warnings == ()

    @pytest.mark.parametrize("word", [DISABLED, "yes", "", "Enabled", "true"])
    def test_any_other_word_brings_none_and_a_bad_one_is_told(self, api: Api, word: str) -> None:
        answer = created(api, {INJECT: word})
        assert label_of(answer.object) is None
        expected = f"{INJECT}: expected enabled or disabled, got {word!r}; the namespace is not opted in"
        assert answer.warnings == (() if word == DISABLED else (expected,))

    def test_the_label_alone_is_no_opt_in(self, api: Api) -> None:
        answer = created(api, {}, {INJECT: ENABLED})
        assert label_of(answer.object) is None
        assert answer.warnings == (
            f"label {INJECT} follows the annotation of that name; annotate the namespace instead",
        )

    def test_unknown_keys_and_bad_settings_are_told_and_do_no_harm(self, api: Api) -> None:
        bad = {INJECT: ENABLED, "injector.mesh/log-level": "loud", "injector.mesh/opaque-prots": "25"}
        answer = created(api, bad)
        assert label_of(answer.object) == ENABLED
        unknown, ignored = answer.warnings
        assert unknown.endswith("is unknown and has no effect; did you mean injector.mesh/opaque-ports?")
        levels = "trace, debug, info, warn or error"
        assert ignored == f"injector.mesh/log-level: expected {levels}, got 'loud'; ignored on the namespace"

    @pytest.mark.parametrize("level", ["baseline", "restricted"])
    def test_opting_in_where_pod_security_forbids_the_mesh_is_warned_of_at_once(self, api: Api, level: str) -> None:
        answer = created(api, {INJECT: ENABLED}, {ENFORCE_LABEL: level})
        assert label_of(answer.object) == ENABLED
        assert [warning for warning in answer.warnings if "Pod Security" in warning and "NET_ADMIN" in warning]

    def test_the_label_follows_every_change_of_the_annotation(self, api: Api, plain: Sandbox) -> None:
        def say(change: dict[str, str | None], field: str = "annotations") -> str | None:
            return label_of(api.patch("Namespace", plain.name, {"metadata": {field: change}}).object)

        assert say({"unrelated": "1"}) is None
        assert say({INJECT: ENABLED}) == ENABLED
        assert say({INJECT: None}, "labels") == ENABLED, "the label was taken away, and the annotation stands"
        assert say({INJECT: "something"}, "labels") == ENABLED
        assert say({INJECT: DISABLED}) is None
        assert say({INJECT: ENABLED}, "labels") is None, "the annotation says no"
        assert say({INJECT: ENABLED}) == ENABLED
        assert say({INJECT: None}) is None

    def test_the_system_s_own_namespaces_are_never_opted_in(self, api: Api) -> None:
        for name in ("kube-system", SYSTEM_NAMESPACE):
            change = {"metadata": {"annotations": {INJECT: ENABLED}}}
            answer = api.send(
                "PATCH", f"/api/v1/namespaces/{name}", change, "application/merge-patch+json", dryRun="All"
            )
            assert (label_of(answer.object), answer.warnings) == (None, ())


@pytest.mark.usefixtures("mesh")
class TestPods:
    """Pods by what their namespace says, and by what they say themselves."""

    def test_the_pod_s_word_wins_over_its_namespace_s(self, meshed: Sandbox, plain: Sandbox) -> None:
        said: dict[str, dict[str, str]] = {"no word": {}, "yes": {INJECT: ENABLED}, "no": {INJECT: DISABLED}}
        for sandbox, expected in ((meshed, [True, True, False]), (plain, [False, True, False])):
            made = [sandbox.begin(gated(f"pod-{index}", annotations=own)) for index, own in enumerate(said.values())]
            assert [each.meshed for each in made] == expected, sandbox.name

    def test_a_word_that_is_none_is_refused_outside_the_mesh_too(self, plain: Sandbox) -> None:
        with pytest.raises(ApiError) as refused:
            plain.create(gated("web", annotations={INJECT: "enable"}))
        denied = 'admission webhook "annotated-pods.injector.mesh" denied the request'
        assert refused.value.message.endswith(f"{denied}: {INJECT}: expected enabled or disabled, got 'enable'")

    def test_pods_that_never_asked_are_never_sent(self, api: Api, plain: Sandbox) -> None:
        silent = {reason: _count(api, reason) for reason in (SkipReason.NOT_ENABLED, SkipReason.DISABLED_ON_POD)}
        silent[SkipReason.SYSTEM_NAMESPACE] = _count(api, SkipReason.SYSTEM_NAMESPACE)
        plainly = plain.create(gated("plain"))
        disabled = plain.create(gated("disabled", annotations={INJECT: DISABLED}))
        in_system = api.create(gated("entries-test", annotations={INJECT: ENABLED}), "kube-system", dry_run=True)
        for answer in (plainly, disabled, in_system):
            assert answer.warnings == ()
            assert "initContainers" not in answer.object["spec"]
        assert {reason: _count(api, reason) for reason in silent} == silent

    @pytest.mark.parametrize(
        ("title", "annotations", "reason"),
        [("silent", {}, SkipReason.NOT_ENABLED), ("disabled", {INJECT: DISABLED}, SkipReason.DISABLED_ON_POD)],
    )
    def test_explain_says_why_a_pod_was_left_alone(
        self, cluster: Cluster, plain: Sandbox, title: str, annotations: dict[str, str], reason: SkipReason
    ) -> None:
        plain.create(gated(title, annotations=annotations))
        code, output, faults = injector(cluster, "explain", "pod", title, "--namespace", plain.name)
        assert code == 0, faults
        assert reason.sentence in re.sub(r"\s+", " ", output)

    def test_settings_of_the_namespace_reach_its_pods_and_the_pod_s_win(self, new_namespace: NewNamespace) -> None:
        settings = {
            "injector.mesh/log-level": "debug",
            "injector.mesh/shutdown-grace": "5s",
            "injector.mesh/log-format": "x",
        }
        sandbox = new_namespace(meshed=True, annotations=settings)
        answer = sandbox.create(gated("web", annotations={"injector.mesh/shutdown-grace": "7s"}))
        told = {entry["name"]: entry.get("value") for entry in answer.object["spec"]["initContainers"][1]["env"]}
        assert told["INJECTOR_LOG_LEVEL"] == "debug"
        assert told["INJECTOR_SHUTDOWN_GRACE_SECONDS"] == "7"
        assert told["INJECTOR_LOG_FORMAT"] == "text"
        assert answer.warnings == (
            "injector.mesh/log-format: expected text or json, got 'x'; ignored on the namespace",
        )

    def test_where_pod_security_forbids_the_mesh_the_refusal_says_so(self, new_namespace: NewNamespace) -> None:
        sandbox = new_namespace(meshed=True, labels={ENFORCE_LABEL: "baseline"})
        with pytest.raises(ApiError) as refused:
            sandbox.create(gated("web"))
        assert "PodSecurity" in refused.value.message
        assert "injector-init" in refused.value.message
        assert any("Pod Security 'baseline'" in warning for warning in refused.value.warnings)

    def test_a_quota_on_limits_and_a_limit_range_admit_what_they_admitted_before(self, meshed: Sandbox) -> None:
        hard = {"limits.cpu": "4", "limits.memory": "4Gi", "requests.cpu": "4", "requests.memory": "4Gi"}
        meshed.create(_kind("ResourceQuota", {"hard": hard}))
        meshed.create(
            _kind("LimitRange", {"limits": [{"type": "Container", "max": {"cpu": "500m", "memory": "128Mi"}}]})
        )
        resources = {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}}
        assert meshed.begin(
            pods.pod("web", pods.spec(pods.container(resources=resources), schedulingGates=GATES))
        ).meshed


def test_a_namespace_and_a_deployment_in_one_apply_are_injected(mesh: Mesh, cluster: Cluster, api: Api) -> None:
    sandbox = Sandbox(cluster, api, "one-apply")
    home = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": sandbox.name, "annotations": {INJECT: ENABLED}},
    }
    web = pods.workload("Deployment", "web", pods.spec(schedulingGates=GATES), replicas=3)
    web["metadata"]["namespace"] = sandbox.name
    try:
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([home, web]))
        seen: dict[str, bool] = {}
        for event, pod in api.watch("Pod", sandbox.name, seconds=30):
            assert event != "DELETED"
            seen[pod["metadata"]["name"]] = Pod(sandbox, pod["metadata"]["name"]).meshed
            if len(seen) == 3:
                break
        assert list(seen.values()) == [True] * 3
        told = {entry["name"]: entry.get("value") for entry in pod["spec"]["initContainers"][1]["env"]}
        assert (told["INJECTOR_WORKLOAD_KIND"], told["INJECTOR_WORKLOAD_NAME"]) == ("Deployment", "web")
    finally:
        sandbox.remove()


def test_every_answer_is_counted_by_its_reason(mesh: Mesh, api: Api, meshed: Sandbox) -> None:
    before = reviews(api)
    meshed.begin(gated("injected"))
    meshed.create(pods.pod("host", pods.spec(hostNetwork=True, schedulingGates=GATES)))
    with pytest.raises(ApiError):
        meshed.create(gated("bad", annotations={"injector.mesh/log-level": "loud"}))
    after = reviews(api)
    for result, reason in (("injected", ""), ("skipped", "host-network"), ("refused", "bad-value")):
        assert after[result, reason] > before[result, reason]
    assert after["error", "internal"] == 0


def _kind(kind: str, spec: Json) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "limits"}, "spec": spec}


def _count(api: Api, reason: SkipReason) -> float:
    return reviews(api)["skipped", reason.value]
