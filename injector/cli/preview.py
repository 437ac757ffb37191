"""PURE. What injection makes of documents: the webhook's own decision, for every pod template in them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from injector.cli.documents.read import Document, Fault
from injector.cli.documents.write import to_yaml
from injector.cli.workloads import Place, TemplateError, places, pointer, with_spec
from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace
from injector.inject.review import Injected, Refused, Review, review_pod
from injector.inject.uninject import uninject


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one pod (template)."""

    place: Place
    spec: Json
    """The pod's spec afterwards; the very object of before where nothing happens."""
    review: Review | None = None
    """The answer that led to it; None where nothing was to be decided."""

    @property
    def changed(self) -> bool:
        """Whether anything is different afterwards."""
        return self.spec is not self.place.pod["spec"]

    @property
    def operations(self) -> list[dict[str, Any]]:
        """RFC 6902 operations on the object, or on the List, as it stands in its document."""
        prefix = pointer(self.place.path)
        if isinstance(self.review, Injected):
            return [{**operation, "path": prefix + operation["path"]} for operation in self.review.operations]
        return [{"op": "replace", "path": f"{prefix}/spec", "value": self.spec}] if self.changed else []


@dataclass(frozen=True, slots=True)
class Outcome:
    """All documents afterwards in their order, what happened in each, and everything that cannot stand.

    A document that nothing happened to keeps its text; one with a fault is missing.
    """

    documents: list[Document]
    changes: list[Change]
    faults: list[Fault]


NamespaceOf: TypeAlias = Callable[[str], Namespace]


def declared_namespaces(documents: Iterable[Document]) -> dict[str, Namespace]:
    """The Namespace objects among the documents, by name: their annotations are the settings of their pods."""
    found = {}
    for document in documents:
        for value in _objects(document.value):
            if value.get("kind") == "Namespace" and value.get("apiVersion") == "v1":
                metadata = value.get("metadata") or {}
                name = str(metadata.get("name", ""))
                found[name] = Namespace(name, metadata.get("labels") or {}, metadata.get("annotations") or {})
    return found


def _objects(value: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(value, dict):
        return ()
    items = value.get("items") if str(value.get("kind", "")).endswith("List") else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else (value,)


def inject_documents(
    documents: list[Document],
    namespace_of: NamespaceOf,
    installation: Installation,
    default_namespace: str,
    *,
    opted_in: bool,
) -> Outcome:
    """Every document injected as the webhook would do it; pods that it would refuse are faults.

    `opted_in` True answers "what if it were opted in"; False leaves that to what pod and namespace say.
    """

    def act(place: Place) -> Change:
        namespace = namespace_of(place.namespace)
        review = review_pod(place.pod, namespace, installation, workload=place.workload, opted_in=opted_in)
        spec = place.pod["spec"]
        if isinstance(review, Injected):
            import jsonpatch

            spec = jsonpatch.apply_patch(place.pod, review.operations)["spec"]
        return Change(place, spec, review)

    return _each(documents, default_namespace, act)


def uninject_documents(documents: list[Document], default_namespace: str) -> Outcome:
    """Every document without anything of ours."""

    def act(place: Place) -> Change:
        before, after = place.pod["spec"], uninject(place.pod)["spec"]
        return Change(place, before if after == before else after)

    return _each(documents, default_namespace, act)


def _each(documents: list[Document], default_namespace: str, act: Callable[[Place], Change]) -> Outcome:
    outcome = Outcome([], [], [])
    for document in documents:
        try:
            changes = [act(place) for place in places(document.value, default_namespace)]
        except TemplateError as fault:
            outcome.faults.append(Fault(document.source, document.line, str(fault)))
            continue
        outcome.changes.extend(changes)
        faults = [Fault(document.source, document.line, said) for change in changes for said in _refusals(change)]
        outcome.faults.extend(faults)
        if not faults:
            outcome.documents.append(_after(document, changes))
    return outcome


def _refusals(change: Change) -> Iterable[str]:
    if isinstance(change.review, Refused):
        for fault in change.review.faults:
            yield f"{change.place} would be refused ({fault.reason}): {fault.message}"


def _after(document: Document, changes: list[Change]) -> Document:
    value = document.value
    for change in changes:
        if change.changed:
            value = with_spec(value, change.place.path, change.spec)
    if value is document.value:
        return document
    return Document(document.source, document.line, to_yaml(value), value)
