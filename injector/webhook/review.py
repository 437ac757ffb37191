"""AdmissionReview v1 on the wire: bytes to `Review`, answers to bytes (k8s.io/api/admission/v1)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

# The API server cuts warnings off after these many characters each and in all, in the middle of a word and without a
# sign (k8s.io/apiserver pkg/endpoints/filters/warning.go); cut here, they end properly.
WARNING_CHARACTERS = 256
WARNINGS_CHARACTERS = 4096
# A refusal's message goes into the answer to the user and into a ReplicaSet's condition: a page, not a book.
MESSAGE_CHARACTERS = 4096

FORBIDDEN = 403


class BadReview(ValueError):  # noqa: N818 - a condition, read as such in an except clause
    """The body is not a review that this webhook can answer; the text says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Review:
    """What of an AdmissionReview request bears on the answer. `object` is raw JSON."""

    uid: str
    kind: str
    namespace: str
    object: dict[str, Any]


def parse(body: bytes) -> Review:
    """Decode a request, or raise `BadReview`.

    Depth needs no look of its own: orjson refuses more than 1024 levels before it builds anything.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadReview(f"expected an {KIND} as JSON, got something else: {error}") from None
    if not isinstance(document, dict):
        raise BadReview(f"expected an {KIND} object, got {_name(document)}")
    version, kind = document.get("apiVersion"), document.get("kind")
    if version != API_VERSION or kind != KIND:
        raise BadReview(f"expected {API_VERSION} {KIND}, got apiVersion {_quote(version)}, kind {_quote(kind)}")
    request = document.get("request")
    if not isinstance(request, dict):
        raise BadReview(f"expected an object in request, got {_name(request)}")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise BadReview(f"expected a text in request.uid, got {_name(uid)}")
    reviewed = request.get("object")
    if not isinstance(reviewed, dict):
        raise BadReview(f"expected an object in request.object, got {_name(reviewed)}")
    return Review(uid, _kind(request.get("kind")), _text(request.get("namespace")), reviewed)


def _kind(kind: object) -> str:
    """ "v1 Pod" from a GroupVersionKind, "apps/v1 Deployment" where there is a group."""
    if not isinstance(kind, dict):
        raise BadReview(f"expected an object in request.kind, got {_name(kind)}")
    group, version = _text(kind.get("group")), _text(kind.get("version"))
    return f"{group + '/' if group else ''}{version} {_text(kind.get('kind'))}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def allowed(uid: str, operations: Sequence[dict[str, Any]] = (), warnings: Iterable[str] = ()) -> bytes:
    """Yes, with these RFC 6902 operations if there are any."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(operations)).decode("ascii")
    return _encode(response, warnings)


def refused(uid: str, messages: Sequence[str], warnings: Iterable[str] = ()) -> bytes:
    """No: the object is at fault, and `messages` say how. Never for a fault of ours: that is an HTTP 500."""
    message = _cut("; ".join(messages), MESSAGE_CHARACTERS)
    status = {"code": FORBIDDEN, "reason": "Forbidden", "message": message}
    return _encode({"uid": uid, "allowed": False, "status": status}, warnings)


def _encode(response: dict[str, Any], warnings: Iterable[str]) -> bytes:
    if bounded := bound(warnings):
        response["warnings"] = bounded
    return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def bound(warnings: Iterable[str]) -> list[str]:
    """The warnings cut to what the API server passes on; the last one says so if some did not fit."""
    kept: list[str] = []
    room = WARNINGS_CHARACTERS
    remaining = [_cut(" ".join(warning.split()), WARNING_CHARACTERS) for warning in warnings]
    for index, warning in enumerate(remaining):
        more = f"and {len(remaining) - index} more warnings"
        last = index == len(remaining) - 1
        if len(warning) + (0 if last else len(more)) > room:
            return [*kept, more]
        kept.append(warning)
        room -= len(warning)
    return kept


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _name(value: object) -> str:
    """The JSON name of a value's type."""
    if value is None:
        return "nothing"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    if value == "":
        return "an empty text"
    return names[type(value)]


def _quote(value: object) -> str:
    return _cut(repr(value), 64) if isinstance(value, str) else _name(value)
