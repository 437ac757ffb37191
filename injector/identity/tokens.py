"""Whose token it is: asked of the API server, which alone can say (authentication.k8s.io/v1 TokenReview)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from injector.identity.refusals import Reason, Refused
from injector.inject.names import TOKEN_AUDIENCE
from injector.kube.errors import KubeError
from injector.kube.resources import Resource
from injector.pki import SpiffeId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from injector.kube.client import KubeClient

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io/v1", "TokenReview", "tokenreviews", namespaced=False)

MOST_TOKEN_BYTES: Final = 8 * 1024
"""A projected token has 1 to 2 KB."""
POD_NAME: Final = "authentication.kubernetes.io/pod-name"
POD_UID: Final = "authentication.kubernetes.io/pod-uid"
QUOTED_LETTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who holds a token: the identity, and the pod that the token is bound to and dies with."""

    subject: SpiffeId
    pod: str
    pod_uid: str


class TokenReviewer:
    """Asks the API server. `trust_domain` is the first part of every identity."""

    def __init__(self, kube: KubeClient, trust_domain: str) -> None:
        self._kube = kube
        self._trust_domain = trust_domain

    async def review(self, token: str) -> Bearer:
        """The bearer; raises `Refused`."""
        if not token:
            raise Refused(Reason.NO_TOKEN, "the token: expected one, got none")
        if len(token) > MOST_TOKEN_BYTES:
            raise Refused(Reason.TOKEN_TOO_LONG, f"the token: expected at most {MOST_TOKEN_BYTES} bytes")
        body = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": TOKEN_REVIEWS.kind,
            "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
        }
        try:
            answer = await self._kube.create(TOKEN_REVIEWS, body)
        except KubeError as error:
            message = "the API server does not answer; try again"
            raise Refused(Reason.NO_API_SERVER, message, str(error)[:QUOTED_LETTERS]) from error
        return bearer(answer.get("status") or {}, self._trust_domain)


def bearer(status: Mapping[str, Any], trust_domain: str) -> Bearer:
    """The bearer of a token by the status of its review (pure); raises `Refused`."""
    if not status.get("authenticated"):
        message = f"the token is not accepted: expected a projected one of a running pod for {TOKEN_AUDIENCE}"
        raise Refused(Reason.TOKEN_NOT_ACCEPTED, message, str(status.get("error", ""))[:QUOTED_LETTERS])
    # An API server that knows nothing of audiences accepts any token, and says so by returning none.
    if TOKEN_AUDIENCE not in (status.get("audiences") or ()):
        raise Refused(Reason.WRONG_AUDIENCE, f"the token's audience: expected {TOKEN_AUDIENCE}")
    user = status.get("user") or {}
    subject = SpiffeId.of_user(str(user.get("username", "")), trust_domain)
    if subject is None:
        raise Refused(Reason.NOT_A_SERVICE_ACCOUNT, "the token: expected one of a ServiceAccount, got another user's")
    extra = user.get("extra") or {}
    pod, uid = (next(iter(extra.get(key) or ()), "") for key in (POD_NAME, POD_UID))
    if not pod or not uid:
        raise Refused(
            Reason.NOT_BOUND_TO_A_POD,
            "the token is not bound to a pod: expected the projected one of the pod that asks",
        )
    return Bearer(subject, pod, uid)
