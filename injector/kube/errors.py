"""What can go wrong between us and an API server, told apart by the Status reason it answers with."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson


class KubeError(Exception):
    """A request the API server did not fulfil.

    `status` is the HTTP code (0 when no answer came), `reason` the Status reason ("Forbidden", ...), `retry_after`
    the server's own wish in seconds where it named one. `str()` is a sentence for a person.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class Unconfigured(KubeError):  # noqa: N818 - these are conditions, and read as such in an except clause
    """No cluster to talk to: neither a ServiceAccount nor a usable kubeconfig."""


class Unreachable(KubeError):  # noqa: N818
    """No answer: connection, TLS or time."""


class Unauthorized(KubeError):  # noqa: N818
    """401: the credentials are not accepted."""


class Forbidden(KubeError):  # noqa: N818
    """403: the credentials lack the right."""


class NotFound(KubeError):  # noqa: N818
    """404: the object, or the kind, does not exist."""


class Conflict(KubeError):  # noqa: N818
    """409: the object changed since it was read, or another field manager owns a field."""


class AlreadyExists(Conflict):
    """409 on create: there is one of that name."""


class Gone(KubeError):  # noqa: N818
    """410: the resourceVersion or continue token is older than what the server remembers; list again."""


class Invalid(KubeError):  # noqa: N818
    """422: the object breaks a rule of its kind."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}
_BY_REASON: dict[str, type[KubeError]] = {"AlreadyExists": AlreadyExists, "Expired": Gone}

# An error body that is not a Status (a proxy's HTML page) is quoted this far and no further.
_QUOTED = 200


def from_response(method: str, path: str, status: int, body: bytes, retry_after: str | None) -> KubeError:
    """The error for an answer with a code of 400 or more; `body` is a Status where the API server wrote it."""
    document: Any = None
    with contextlib.suppress(orjson.JSONDecodeError):
        document = orjson.loads(body)
    if not (isinstance(document, dict) and document.get("kind") == "Status"):
        document = {"message": body[:_QUOTED].decode("utf-8", "replace").strip()}
    return from_status(document, what=f"{method} {path}", status=status, retry_after=retry_after)


def from_status(document: dict[str, Any], *, what: str, status: int, retry_after: str | None = None) -> KubeError:
    """The error a Status object stands for, either as an answer's body or as an ERROR event of a watch."""
    reason = str(document.get("reason") or "")
    message = str(document.get("message") or "no message")
    seconds = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    kind = _BY_REASON.get(reason) or _BY_STATUS.get(status, KubeError)
    return kind(
        f"{what}: the API server answered {status}: {message}", status=status, reason=reason, retry_after=seconds
    )
