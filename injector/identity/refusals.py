"""Why a certificate is not given: a closed list, each with what gRPC says of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from grpc import StatusCode


class Reason(StrEnum):
    """The label of the metric, and of the log line."""

    NO_TOKEN = "no-token"  # noqa: S105 - a label
    TOKEN_TOO_LONG = "token-too-long"  # noqa: S105
    TOKEN_NOT_ACCEPTED = "token-not-accepted"  # noqa: S105
    """Expired, forged, for another audience, or of a pod that is gone: the API server does not say which."""
    WRONG_AUDIENCE = "wrong-audience"
    NOT_A_SERVICE_ACCOUNT = "not-a-service-account"
    NOT_BOUND_TO_A_POD = "not-bound-to-a-pod"
    MALFORMED = "malformed-request"
    TOO_LARGE = "request-too-large"
    WRONG_KEY = "wrong-key"
    WRONG_SIGNATURE = "wrong-signature"
    WRONG_NAMES = "wrong-names"
    TOO_MANY_OF_SOURCE = "too-many-of-source"
    TOO_MANY_OF_POD = "too-many-of-pod"
    TOO_MANY = "too-many"
    GONE = "gone"
    NO_ISSUER = "no-issuer"
    NO_API_SERVER = "no-api-server"


_LIMITS: Final = {Reason.TOO_MANY_OF_SOURCE, Reason.TOO_MANY_OF_POD, Reason.TOO_MANY}
_AWAY: Final = {Reason.NO_ISSUER, Reason.NO_API_SERVER}
_REQUEST: Final = {
    Reason.MALFORMED,
    Reason.TOO_LARGE,
    Reason.WRONG_KEY,
    Reason.WRONG_SIGNATURE,
    Reason.WRONG_NAMES,
}


class Refused(Exception):  # noqa: N818 - an answer, and read as such in an except clause
    """No certificate. `str()` is a sentence for whoever asked: what was expected and what came, never the token.
    `cause` is for our own log: what the API server said."""

    def __init__(self, reason: Reason, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self._cause = cause

    @property
    def facts(self) -> dict[str, str]:
        """For the log line, beside the sentence."""
        facts = {"reason": self.reason.value}
        return facts | {"cause": self._cause} if self._cause else facts

    @property
    def code(self) -> StatusCode:
        """As the contract (mesh.proto, Certify) has it."""
        if self.reason in _LIMITS:
            return StatusCode.RESOURCE_EXHAUSTED
        if self.reason in _AWAY:
            return StatusCode.UNAVAILABLE
        return StatusCode.INVALID_ARGUMENT if self.reason in _REQUEST else StatusCode.UNAUTHENTICATED
