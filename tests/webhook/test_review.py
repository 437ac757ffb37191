"""The codec and the handler: any bytes give a clear fault or a valid answer; answers are what the API takes."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import jsonpatch
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from injector.inject.model import Namespace, Workload
from injector.webhook import review as codec
from injector.webhook.handler import Entry, Handler, Missing, NamespaceKey, Outcome, OwnerKey, Result
from injector.webhook.review import BadReview, bound
from tests.webhook.conftest import INSTALLATION, FakeDirectory
from tests.webhook.pods import POD_UID, pod, review

OWNER = OwnerKey("ReplicaSet", "shop", "web-6f7d9c5b8d", POD_UID)


class Everything(FakeDirectory):
    """Knows any namespace and no owner."""

    def namespace(self, key: NamespaceKey) -> Namespace:
        return Namespace(key.name)

    def workload(self, key: OwnerKey) -> Workload | None:
        return None


@pytest.fixture
def directory() -> FakeDirectory:
    return FakeDirectory({NamespaceKey("shop"): Namespace("shop"), OWNER: Workload("Deployment", "web")})


@pytest.fixture
def handler(directory: FakeDirectory) -> Handler:
    return Handler(INSTALLATION, directory)


def response(outcome: Outcome) -> dict[str, Any]:
    document = orjson.loads(outcome.body)
    assert document["apiVersion"] == "admission.k8s.io/v1"
    assert document["kind"] == "AdmissionReview"
    answer: dict[str, Any] = document["response"]
    assert answer["uid"] == outcome.uid
    assert sum(map(len, answer.get("warnings", []))) <= codec.WARNINGS_CHARACTERS
    assert all(len(warning) <= codec.WARNING_CHARACTERS for warning in answer.get("warnings", []))
    return answer


def patched(outcome: Outcome, original: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = jsonpatch.apply_patch(original, orjson.loads(base64.b64decode(response(outcome)["patch"])))
    return result


def test_a_pod_gets_its_proxy_and_its_workload_by_name(handler: Handler) -> None:
    outcome = handler.answer(Entry.PODS, review(pod()))
    assert outcome.result is Result.INJECTED
    proxy = patched(outcome, pod())["spec"]["initContainers"][1]
    environment = {entry["name"]: entry.get("value") for entry in proxy["env"]}
    assert environment["INJECTOR_WORKLOAD_KIND"] == "Deployment"
    assert environment["INJECTOR_WORKLOAD_NAME"] == "web"


def test_an_owner_that_is_its_own_workload_stays_what_the_pod_says(handler: Handler, directory: FakeDirectory) -> None:
    directory.known[OWNER] = None
    proxy = patched(handler.answer(Entry.PODS, review(pod())), pod())["spec"]["initContainers"][1]
    environment = {entry["name"]: entry.get("value") for entry in proxy["env"]}
    assert environment["INJECTOR_WORKLOAD_KIND"] == "ReplicaSet"


@pytest.mark.parametrize("key", [NamespaceKey("shop"), OWNER])
def test_what_is_not_known_is_named(handler: Handler, directory: FakeDirectory, key: NamespaceKey | OwnerKey) -> None:
    del directory.known[key]
    with pytest.raises(Missing) as missing:
        handler.answer(Entry.PODS, review(pod()))
    assert missing.value.key == key


def test_arriving_as_a_namespaces_pod_is_the_opt_in_and_elsewhere_the_annotation_is(handler: Handler) -> None:
    assert handler.answer(Entry.PODS, review(pod())).result is Result.INJECTED
    skipped = handler.answer(Entry.ANNOTATED_PODS, review(pod()))
    assert (skipped.result, skipped.reason) == (Result.SKIPPED, "not-enabled")
    assert "patch" not in response(skipped)
    asking = pod()
    asking["metadata"]["annotations"]["injector.mesh/inject"] = "enabled"
    assert handler.answer(Entry.ANNOTATED_PODS, review(asking)).result is Result.INJECTED


def test_a_skip_says_why(handler: Handler) -> None:
    host = pod()
    host["spec"]["hostNetwork"] = True
    outcome = handler.answer(Entry.PODS, review(host))
    assert (outcome.result, outcome.reason) == (Result.SKIPPED, "host-network")
    assert any("host-network" in warning for warning in response(outcome)["warnings"])


def test_a_refusal_is_a_403_with_every_fault(handler: Handler) -> None:
    bad = pod()
    bad["metadata"]["annotations"] |= {"injector.mesh/log-level": "loud"}
    bad["spec"]["containers"][0]["securityContext"] = {"runAsUser": 2102}
    outcome = handler.answer(Entry.PODS, review(bad))
    answer = response(outcome)
    assert (outcome.result, answer["allowed"], answer["status"]["code"]) == (Result.REFUSED, False, 403)
    assert outcome.reason == "bad-value"
    assert "2102" in answer["status"]["message"]
    assert "loud" in answer["status"]["message"]


def test_a_namespace_gets_and_loses_its_label(handler: Handler) -> None:
    annotated = {"metadata": {"name": "shop", "annotations": {"injector.mesh/inject": "enabled"}}}
    outcome = handler.answer(Entry.NAMESPACES, review(annotated, kind="Namespace"))
    assert outcome.result is Result.LABELLED
    labelled = patched(outcome, annotated)
    assert labelled["metadata"]["labels"] == {"injector.mesh/inject": "enabled"}
    again = handler.answer(Entry.NAMESPACES, review(labelled, kind="Namespace"))
    assert again.result is Result.UNCHANGED
    del labelled["metadata"]["annotations"]
    without = patched(handler.answer(Entry.NAMESPACES, review(labelled, kind="Namespace")), labelled)
    assert "injector.mesh/inject" not in without["metadata"]["labels"]


def test_a_depth_that_is_still_read_is_answered(handler: Handler) -> None:
    deep = b'{"x":' * 1000 + b"{}" + b"}" * 1000
    body = review(pod()).replace(b'"status":{}', b'"status":' + deep)
    assert len(body) > 6000
    assert handler.answer(Entry.PODS, body).result is Result.INJECTED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [path]
    if isinstance(document, list):
        document = dict(enumerate(document))
    if isinstance(document, dict):
        for key, value in document.items():
            found += places(value, (*path, key))
    return found


PLACES = [path for path in places(orjson.loads(review(pod()))) if path]


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put a value where an earlier one has left the path; JSON has no object whose key is a list's index."""
    *parents, last = path
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for key in parents:
            document = document[key]
        if isinstance(document, list) == isinstance(last, int):
            document[last] = value


def answered(entry: Entry, body: bytes) -> None:
    """A clear fault or a valid answer, nothing else."""
    with contextlib.suppress(BadReview):
        response(Handler(INSTALLATION, Everything()).answer(entry, body))


@given(st.sampled_from(Entry), st.binary(max_size=2000) | JSON.map(orjson.dumps))
def test_any_bytes_are_a_clear_fault_or_a_valid_answer(entry: Entry, body: bytes) -> None:
    answered(entry, body)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(Entry), st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
def test_a_real_review_with_anything_in_any_place(entry: Entry, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = orjson.loads(review(pod(), kind="Namespace" if entry is Entry.NAMESPACES else "Pod"))
    for path, value in changes:
        put(document, path, value)
    answered(entry, orjson.dumps(document))


@given(st.lists(st.text(max_size=600), max_size=60))
def test_warnings_are_cut_to_what_the_api_passes_on(warnings: list[str]) -> None:
    kept = bound(warnings)
    assert all(len(warning) <= codec.WARNING_CHARACTERS for warning in kept)
    assert sum(map(len, kept)) <= codec.WARNINGS_CHARACTERS
    assert not any("\n" in warning for warning in kept), "a warning is a header's value"
    if len(kept) < len(warnings):
        assert kept[-1] == f"and {len(warnings) - len(kept) + 1} more warnings"


def test_a_long_warning_ends_with_a_sign() -> None:
    assert bound(["x" * 300]) == ["x" * 255 + "…"]
