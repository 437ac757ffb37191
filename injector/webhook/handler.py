"""A review's bytes in, an answer's bytes out. Knows neither HTTP nor Kubernetes' API; performs no I/O at all.

What it would have to ask the API server for it asks its `Directory` for, which answers from memory or raises `Missing`;
whoever called fetches what is missing and calls again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from injector.inject.review import Injected, Skipped, review_namespace, review_pod
from injector.inject.shape import metadata_faults
from injector.webhook import review
from injector.webhook.review import BadReview, Review

if TYPE_CHECKING:
    from injector.inject.installation import Installation
    from injector.inject.model import Namespace, Workload


class Entry(StrEnum):
    """The three webhook entries; the value is the label of the metric and the last part of the path."""

    NAMESPACES = "namespaces"
    PODS = "pods"
    ANNOTATED_PODS = "annotated-pods"

    @property
    def path(self) -> str:
        """Where the API server posts the reviews of this entry."""
        return f"/mutate/{self.value}"


class Result(StrEnum):
    """What became of a review; the label of the metric."""

    INJECTED = "injected"
    SKIPPED = "skipped"
    REFUSED = "refused"
    LABELLED = "labelled"
    UNCHANGED = "unchanged"
    BAD_REQUEST = "bad-request"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class NamespaceKey:
    """A namespace by name."""

    name: str


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """A pod's controlling ReplicaSet or Job, as the pod's ownerReference names it."""

    kind: str
    namespace: str
    name: str
    uid: str


class Missing(Exception):  # noqa: N818 - a condition, read as such in an except clause
    """The answer depends on something that is not known yet."""

    def __init__(self, key: NamespaceKey | OwnerKey) -> None:
        super().__init__(str(key))
        self.key = key


class Directory(Protocol):
    """What is known of the cluster. Both raise `Missing` for what has to be asked."""

    def namespace(self, key: NamespaceKey) -> Namespace:
        """The namespace as last seen."""

    def workload(self, key: OwnerKey) -> Workload | None:
        """The workload above that owner; None when the owner is its own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, and what metrics and logs say of it. `reason` is a slug of a closed set, "" where there is none."""

    body: bytes
    result: Result
    reason: str
    uid: str
    namespace: str
    name: str


# Only these stand between a pod and the workload that a person knows.
_INTERMEDIATE = ("ReplicaSet", "Job")
_EXPECTED_KIND = {Entry.NAMESPACES: "v1 Namespace", Entry.PODS: "v1 Pod", Entry.ANNOTATED_PODS: "v1 Pod"}


class Handler:
    """Answers reviews for one installation."""

    def __init__(self, installation: Installation, directory: Directory) -> None:
        self._installation = installation
        self._directory = directory

    def answer(self, entry: Entry, body: bytes) -> Outcome:
        """The outcome for one request body; raises `BadReview`, or `Missing`, after which call again."""
        request = review.parse(body)
        if request.kind != _EXPECTED_KIND[entry]:
            raise BadReview(f"expected a review of {_EXPECTED_KIND[entry]} at {entry.path}, got {request.kind[:128]!r}")
        try:
            return self._namespace(request) if entry is Entry.NAMESPACES else self._pod(entry, request)
        except RecursionError:
            raise BadReview("the object is nested too deeply") from None

    def _namespace(self, request: Review) -> Outcome:
        reviewed = review_namespace(_shaped(request.object))
        body = review.allowed(request.uid, reviewed.operations, reviewed.warnings)
        result = Result.LABELLED if reviewed.operations else Result.UNCHANGED
        return _outcome(request, body, result)

    def _pod(self, entry: Entry, request: Review) -> Outcome:
        if not request.namespace:
            raise BadReview("expected the pod's namespace in request.namespace, got nothing")
        namespace = self._directory.namespace(NamespaceKey(request.namespace))
        reviewed = review_pod(
            request.object,
            namespace,
            self._installation,
            workload=self._workload(request),
            opted_in=entry is Entry.PODS,
        )
        if isinstance(reviewed, Injected):
            body = review.allowed(request.uid, reviewed.operations, reviewed.warnings)
            return _outcome(request, body, Result.INJECTED)
        if isinstance(reviewed, Skipped):
            body = review.allowed(request.uid, (), reviewed.warnings)
            return _outcome(request, body, Result.SKIPPED, reviewed.reason)
        body = review.refused(request.uid, [fault.message for fault in reviewed.faults], reviewed.warnings)
        return _outcome(request, body, Result.REFUSED, reviewed.faults[0].reason)

    def _workload(self, request: Review) -> Workload | None:
        owners = _metadata(request).get("ownerReferences")
        for owner in owners if isinstance(owners, list) else ():
            if isinstance(owner, dict) and owner.get("controller") is True and owner.get("kind") in _INTERMEDIATE:
                name, uid = owner.get("name"), owner.get("uid")
                if isinstance(name, str) and isinstance(uid, str):
                    return self._directory.workload(OwnerKey(owner["kind"], request.namespace, name, uid))
        return None


def _shaped(namespace: dict[str, object]) -> dict[str, object]:
    """The namespace, if its metadata is what the API server's would be."""
    if faults := metadata_faults(namespace.get("metadata")):
        raise BadReview("; ".join(faults))
    return namespace


def _metadata(request: Review) -> dict[str, object]:
    metadata = request.object.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _outcome(request: Review, body: bytes, result: Result, reason: str = "") -> Outcome:
    metadata = _metadata(request)
    name = metadata.get("name") or metadata.get("generateName") or ""
    return Outcome(body, result, str(reason), request.uid, request.namespace, str(name))
