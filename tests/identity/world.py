"""What surrounds the issuer in these tests: an API server that reviews tokens, and a controller that signs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from injector.identity.tokens import POD_NAME, POD_UID
from injector.inject.names import TOKEN_AUDIENCE
from injector.pki import Pair, make_root, sign_issuer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.kube.fake import FakeApi, Seen

NAMESPACE = "injector-system"
SYSTEM = f"/api/v1/namespaces/{NAMESPACE}"
SECRET = f"{SYSTEM}/secrets/injector-identity-issuer"
REQUEST = f"{SYSTEM}/secrets/injector-identity-request"
PUBLIC = f"{SYSTEM}/configmaps/injector-identity"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
YEAR = timedelta(days=365)


class Controller:
    """The roots' holder: publishes roots, and signs whatever request lies before it."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.root: Pair = make_root(datetime.now(UTC), YEAR)
        self.wanted = 0
        self.issuer = ""

    @property
    def asked(self) -> str:
        """The request before it; "" where there is none."""
        return base64.b64decode(self.api.objects.get(REQUEST, {}).get("data", {}).get("csr.pem", "")).decode()

    def publish(self) -> None:
        """Say what is now."""
        state = {"currentRoot": self.root.certificate.id, "issuerWanted": self.wanted}
        data = {"roots.pem": self.root.certificate.pem.decode(), "state.json": json.dumps(state)}
        self.api.put(PUBLIC, {"data": data | {"issuer.crt": self.issuer}})

    def sign(self) -> None:
        """Sign the request, and publish the certificate."""
        self.issuer = sign_issuer(self.root, self.asked.encode(), datetime.now(UTC), YEAR / 2).decode()
        self.publish()


def user(name: str, *, pod: str = "web-1", uid: str = "uid-1") -> dict[str, Any]:
    """A user as a TokenReview describes one; without pod where that is ""."""
    extra = {POD_NAME: [pod], POD_UID: [uid]} if pod else {}
    return {"username": name, "extra": extra}


class Reviews:
    """Answers TokenReviews from `users`, by token."""

    def __init__(self, api: FakeApi) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.audiences = [TOKEN_AUDIENCE]
        self.away = False
        self.asked: list[dict[str, Any]] = []
        api.intercept = self._answer

    def _answer(self, seen: Seen) -> web.Response | None:
        if seen.path != REVIEWS:
            return None
        if self.away:
            return web.json_response({"kind": "Status", "message": "away"}, status=503)
        self.asked.append(seen.body["spec"])
        known = self.users.get(seen.body["spec"]["token"])
        status = {"authenticated": known is not None, "user": known or {}, "audiences": self.audiences}
        return web.json_response({"status": status}, status=201)


def request(
    uris: Iterable[str],
    dns: Iterable[str] = (),
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """A certificate request (DER) for these names."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def secret_field(api: FakeApi, name: str) -> bytes:
    """A field of the issuer's Secret; b"" where there is none."""
    return base64.b64decode(api.objects.get(SECRET, {}).get("data", {}).get(name, ""))
