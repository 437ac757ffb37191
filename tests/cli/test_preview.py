"""What inject and uninject make of documents, kind by kind."""

import copy
from typing import Any

import jsonpatch
import pytest

from injector.cli.context import offline_context
from injector.cli.documents.read import Document, read_documents
from injector.cli.documents.tree import MAX_DEPTH
from injector.cli.preview import Outcome, inject_documents, uninject_documents
from injector.cli.workloads import TEMPLATES, TemplateError, places
from injector.inject.presence import proxy_container
from injector.inject.review import Skipped


def pod_template() -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}


def workload(kind: str) -> dict[str, Any]:
    """The smallest object of the kind, with a field that nobody knows."""
    group, path = next((group, path) for (group, known), path in TEMPLATES.items() if known == kind)
    value: dict[str, Any] = pod_template()
    for step in reversed(path):
        value = {str(step): value}
    value.setdefault("metadata", {})["name"] = "web"
    value["spec"]["unknownField"] = 1
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, **value}


def document(value: Any) -> Document:
    return Document("t.yaml", 1, "text as it was\n", value)


def injected(*values: Any, **knobs: dict[str, str]) -> Outcome:
    documents = [document(value) for value in values]
    context = offline_context(documents, None, annotations=knobs.get("annotations", {}), labels=knobs.get("labels", {}))
    return inject_documents(documents, context.namespace_of, context.installation, "default", opted_in=context.opted_in)


KINDS = sorted(kind for _, kind in TEMPLATES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_injected_where_its_pods_are_made(kind: str) -> None:
    value = workload(kind)
    before = copy.deepcopy(value)
    outcome = injected(value)
    assert value == before, "the input is not changed"
    assert not outcome.faults
    after = outcome.documents[0].value
    (place,) = places(after, "default")
    assert proxy_container(place.pod) is not None
    assert after["spec"]["unknownField"] == 1
    assert (place.workload.kind, place.workload.name) == (kind, "web")
    assert jsonpatch.apply_patch(before, outcome.changes[0].operations) == after


@pytest.mark.parametrize("kind", KINDS)
def test_uninject_is_the_inverse_and_inject_again_changes_nothing(kind: str) -> None:
    value = workload(kind)
    once = injected(value).documents[0].value
    again = injected(once)
    assert isinstance(again.changes[0].review, Skipped)
    assert again.documents[0].text == "text as it was\n"
    back = uninject_documents([document(once)], "default")
    assert back.documents[0].value == value
    assert jsonpatch.apply_patch(once, back.changes[0].operations) == value
    assert not uninject_documents([document(value)], "default").changes[0].changed


def test_the_deepest_object_that_is_read_is_also_injected_and_written() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: [{name: c, image: x}]\n  odd: "
    text = pod + "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2) + "\n"
    documents, faults = read_documents(text.encode(), "t.yaml")
    assert not faults
    after = injected(documents[0].value).documents[0]
    assert read_documents(after.text.encode(), "again")[0][0].value == after.value


def test_lists_of_lists_are_injected_item_by_item() -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [workload("Job"), {"apiVersion": "v1", "kind": "Secret"}]}
    value = {"apiVersion": "v1", "kind": "List", "items": [workload("Pod"), inner, "odd"]}
    outcome = injected(value)
    after = outcome.documents[0].value
    assert [change.place.path[:4] for change in outcome.changes] == [("items", 0), ("items", 1, "items", 0)]
    assert after["items"][1]["items"][1] == {"apiVersion": "v1", "kind": "Secret"}
    assert after["items"][2] == "odd"
    operations = [operation for change in outcome.changes for operation in change.operations]
    assert jsonpatch.apply_patch(value, operations) == after


@pytest.mark.parametrize(
    "value",
    [
        {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"tasks": []}},
        {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"template": {"spec": {}}}},
        {"apiVersion": "v1", "kind": "ConfigMap"},
        {"kind": "Deployment"},
        [1, 2],
        "text",
        None,
    ],
)
def test_other_kinds_pass_unchanged(value: Any) -> None:
    outcome = injected(value)
    assert outcome.documents[0].text == "text as it was\n"
    assert outcome.changes == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": None}, "Deployment web: expected a mapping at spec, got nothing"),
        ({"spec": {}}, "Deployment web: expected a mapping at spec.template, got nothing"),
        ({"spec": {"template": []}}, "Deployment web: expected a mapping at spec.template, got list"),
        ({"spec": {"template": {}}}, "Deployment web: expected a mapping at spec.template.spec, got nothing"),
        ({"metadata": 3}, "Deployment: expected a mapping at metadata, got int"),
    ],
)
def test_a_workload_without_a_template_says_what_was_expected_where(change: dict[str, Any], message: str) -> None:
    value = {**workload("Deployment"), **change}
    with pytest.raises(TemplateError, match="expected"):
        list(places(value, "default"))
    assert [str(fault) for fault in injected(value).faults] == [f"t.yaml:1: {message}"]


def test_refusals_are_faults_and_all_are_told() -> None:
    bad, worse = workload("Deployment"), workload("Pod")
    bad["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 4143}]
    worse["metadata"]["annotations"] = {"injector.mesh/log-level": "loud"}
    worse["spec"]["containers"][0]["securityContext"] = {"runAsUser": 2102}
    faults = [str(fault) for fault in injected(bad, workload("Job"), worse).faults]
    assert len(faults) == 3
    assert faults[0].startswith("t.yaml:1: Deployment default/web would be refused (port-collision): ")
    assert "injector.mesh/log-level" in faults[1]
    assert "(uid-collision)" in faults[2]


def test_settings_come_from_namespaces_among_the_documents_and_from_knobs() -> None:
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": {"injector.mesh/log-level": "debug"}},
    }
    web = workload("Deployment")
    web["metadata"]["namespace"] = "shop"

    def level(outcome: Outcome) -> Any:
        (change,) = outcome.changes
        return change.review.settings.log_level  # type: ignore[union-attr]

    assert level(injected(web)) == "info"
    assert level(injected(space, web)) == "debug"
    assert level(injected({"apiVersion": "v1", "kind": "List", "items": [space]}, web)) == "debug"
    assert level(injected(space, web, annotations={"log-level": "warn"})) == "warn"
    assert level(injected(web, annotations={"injector.mesh/log-level": "warn"})) == "warn"


def test_pod_security_of_the_named_namespace_is_said() -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    (change,) = injected(workload("Pod"), labels=label).changes
    assert change.review is not None
    assert any("Pod Security 'restricted'" in warning for warning in change.review.warnings)


def test_text_of_untouched_documents_is_kept_to_the_letter() -> None:
    text = "# mine\nkind: ConfigMap # odd   spacing\ndata: {on: 'off',   b: 1}\n"
    documents, faults = read_documents(text.encode(), "t.yaml")
    assert not faults
    assert uninject_documents(documents, "default").documents[0].text == text
