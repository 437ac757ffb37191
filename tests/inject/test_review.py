"""One answer for one pod and for one namespace, put together from all parts."""

from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.review import Injected, NamespaceReview, Refused, Skipped, review_namespace
from tests.inject.objects import INSTALLATION, annotated, container, expect, injected, pod, proxy_of, review, told


class TestPatch:
    @pytest.mark.parametrize(
        "lists", [{}, {"volumes": None, "initContainers": None}, {"volumes": [], "initContainers": []}]
    )
    def test_where_lists_are_absent_null_or_empty_they_are_made(self, lists: Json) -> None:
        spec = injected(pod(**lists))["spec"]
        assert [it["name"] for it in spec["initContainers"]] == ["injector-init", "injector-proxy"]
        assert [it["name"] for it in spec["volumes"]] == ["injector-identity", "injector-token"]

    def test_where_there_are_some_ours_are_put_before_and_after_them(self) -> None:
        own = pod(initContainers=[container("wait"), container("setup")], volumes=[{"name": "data"}])
        spec = injected(own)["spec"]
        assert [it["name"] for it in spec["initContainers"]] == ["injector-init", "injector-proxy", "wait", "setup"]
        assert [it["name"] for it in spec["volumes"]] == ["data", "injector-identity", "injector-token"]

    @pytest.mark.parametrize("present", [{}, {"imagePullSecrets": None}, {"imagePullSecrets": []}])
    def test_the_installations_pull_secret_is_added(self, present: Json) -> None:
        installation = Installation(proxy_image=INSTALLATION.proxy_image, image_pull_secret="regcred")
        patched = injected(pod(**present), installation=installation)
        assert patched["spec"]["imagePullSecrets"] == [{"name": "regcred"}]
        expect(Skipped, review(patched, installation=installation))

    def test_beside_the_pods_own_and_only_once(self) -> None:
        installation = Installation(proxy_image=INSTALLATION.proxy_image, image_pull_secret="regcred")
        beside = injected(pod(imagePullSecrets=[{"name": "other"}]), installation=installation)
        assert beside["spec"]["imagePullSecrets"] == [{"name": "other"}, {"name": "regcred"}]
        once = injected(pod(imagePullSecrets=[{"name": "regcred"}]), installation=installation)
        assert once["spec"]["imagePullSecrets"] == [{"name": "regcred"}]

    def test_extra_environment_reaches_the_proxy_alone_and_in_order(self) -> None:
        installation = Installation(proxy_image=INSTALLATION.proxy_image, extra_env={"TZ": "UTC", "A": ""})
        patched = injected(pod(), installation=installation)
        assert proxy_of(patched)["env"][-2:] == [{"name": "A"}, {"name": "TZ", "value": "UTC"}]
        assert len(patched["spec"]["initContainers"][0]["env"]) == 2

    def test_no_label_annotation_or_status_is_touched(self) -> None:
        patched = injected(pod())
        assert patched["metadata"] == pod()["metadata"]
        assert patched.keys() == pod().keys()


class TestWorkload:
    OWNERS = (
        {"kind": "Node", "name": "n1"},
        {"kind": "ReplicaSet", "name": "web-abc", "controller": True},
        {"kind": "Other", "name": "x", "controller": True},
    )

    @pytest.mark.parametrize(
        ("metadata", "kind", "name"),
        [
            ({"name": "web-0"}, "Pod", "web-0"),
            ({"generateName": "web-"}, "Pod", "web-"),
            ({}, "Pod", ""),
            (None, "Pod", ""),
            ({"name": "web-0", "ownerReferences": []}, "Pod", "web-0"),
            ({"name": "web-0", "ownerReferences": OWNERS[:1]}, "Pod", "web-0"),
            ({"name": "web-0", "ownerReferences": OWNERS}, "ReplicaSet", "web-abc"),
            ({"ownerReferences": [{"controller": True}]}, "", ""),
            ({"name": "$(HOME)"}, "Pod", "$(HOME)"),
        ],
    )
    def test_is_the_pods_controlling_owner_or_the_pod(self, metadata: Any, kind: str, name: str) -> None:
        if metadata and "ownerReferences" in metadata:
            metadata = {**metadata, "ownerReferences": list(metadata["ownerReferences"])}
        patched = injected(pod() | {"metadata": metadata})
        assert (told(patched, "INJECTOR_WORKLOAD_KIND"), told(patched, "INJECTOR_WORKLOAD_NAME")) == (kind, name)

    def test_is_better_known_to_whoever_asks(self) -> None:
        reviewed = expect(Injected, review(pod(), workload=Workload("Deployment", "web")))
        patched = jsonpatch.apply_patch(pod(), reviewed.operations)
        assert told(patched, "INJECTOR_WORKLOAD_KIND") == "Deployment"
        assert told(patched, "INJECTOR_WORKLOAD_NAME") == "web"


class TestWarnings:
    def test_all_that_is_odd_is_told(self) -> None:
        namespace = Namespace(
            "shop",
            labels={"pod-security.kubernetes.io/enforce": "restricted"},
            annotations=annotated(log_level="loud", shutdown_grace="9h"),
        )
        warnings = expect(Injected, review(pod(annotations=annotated(log_levle="debug")), namespace)).warnings
        assert [warning.partition(" ")[0] for warning in warnings] == [
            "annotation",
            "injector.mesh/log-level:",
            "injector.mesh/shutdown-grace:",
            "Pod",
        ]

    def test_a_refusal_tells_it_too(self) -> None:
        subject = pod(annotations=annotated(log_levle="debug", log_level="loud"))
        assert len(expect(Refused, review(subject)).warnings) == 1

    def test_and_so_does_a_pod_that_is_injected_already(self) -> None:
        subject = injected(pod(annotations=annotated(log_levle="debug")))
        assert len(expect(Skipped, review(subject)).warnings) == 1

    def test_a_skipped_pod_is_not_asked_for_its_settings(self) -> None:
        subject = pod(annotations=annotated(log_level="loud"), hostNetwork=True)
        assert len(expect(Skipped, review(subject)).warnings) == 1


def reviewed(annotations: Any = None, labels: Any = None) -> tuple[Json, NamespaceReview]:
    """A namespace after its review, and the review."""
    metadata = {"name": "shop", "annotations": annotations, "labels": labels}
    namespace = {"metadata": {name: value for name, value in metadata.items() if value is not None}}
    review = review_namespace(namespace)
    return jsonpatch.apply_patch(namespace, review.operations), review


LABEL = "injector.mesh/inject"


class TestNamespace:
    @pytest.mark.parametrize("labels", [None, {}, {"team": "a"}, {LABEL: "disabled"}, {LABEL: "x", "team": "a"}])
    def test_the_annotation_brings_the_label(self, labels: Json | None) -> None:
        after, review = reviewed(annotated(inject="enabled"), labels)
        assert after["metadata"]["labels"] == {**(labels or {}), LABEL: "enabled"}
        assert len(review.operations) == 1
        assert review.warnings == ()
        assert review_namespace(after).operations == []

    @pytest.mark.parametrize("annotations", [annotated(inject="disabled"), annotated(inject="yes"), {}, None])
    def test_without_it_the_label_goes(self, annotations: Json | None) -> None:
        after, _ = reviewed(annotations, {LABEL: "enabled", "team": "a"})
        assert after["metadata"]["labels"] == {"team": "a"}
        assert review_namespace(after).operations == []

    @pytest.mark.parametrize("annotations", [annotated(inject="disabled"), {}, None, {"example.com/x": "y"}])
    def test_a_namespace_that_has_nothing_of_ours_is_left_alone(self, annotations: Json | None) -> None:
        assert reviewed(annotations, {"team": "a"})[1] == NamespaceReview([], ())

    def test_a_label_without_annotation_is_explained(self) -> None:
        (warning,) = reviewed({}, {LABEL: "enabled"})[1].warnings
        assert warning == f"label {LABEL} follows the annotation of that name; annotate the namespace instead"

    def test_a_bad_word_opts_nothing_in_and_is_told(self) -> None:
        after, review = reviewed(annotated(inject="Enabled"))
        assert "labels" not in after["metadata"]
        assert review.warnings == (
            "injector.mesh/inject: expected enabled or disabled, got 'Enabled'; the namespace is not opted in",
        )

    def test_bad_values_and_unknown_keys_are_told_when_they_are_written(self) -> None:
        words = annotated(
            inject="enabled", log_level="loud", opaqe_ports="1", proxy_cpu_limit="1", proxy_cpu_request="2"
        )
        assert [warning.split(" ")[0] for warning in reviewed(words)[1].warnings] == [
            "annotation",
            "injector.mesh/log-level:",
            "injector.mesh/proxy-cpu-limit:",
        ]

    @given(
        st.none()
        | st.dictionaries(st.sampled_from((LABEL, "injector.mesh/log-level", "a")), st.sampled_from(("enabled", "x"))),
        st.none() | st.dictionaries(st.sampled_from((LABEL, "a/b~c")), st.sampled_from(("enabled", "disabled", ""))),
    )
    def test_label_and_annotation_always_agree_afterwards(self, annotations: Json | None, labels: Json | None) -> None:
        after, _ = reviewed(annotations, labels)
        kept = after["metadata"].get("labels", {})
        assert (kept.get(LABEL) == "enabled") == ((annotations or {}).get(LABEL) == "enabled")
        assert {name: kept.get(name) for name in labels or {} if name != LABEL} == {
            name: value for name, value in (labels or {}).items() if name != LABEL
        }


def test_the_same_pod_has_the_same_answer_each_time() -> None:
    subject = pod(annotations=annotated(skip_outbound_ports="25"))
    assert review(subject) == review(subject)
