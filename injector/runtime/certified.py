"""A part's own certificate: asked for with its pod's token, like any pod's, kept in memory and renewed in time."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import aio

from injector.api import mesh_pb2 as pb
from injector.api import methods
from injector.pace import Backoff
from injector.pki import SpiffeId, fingerprint, new_key, read_bundle, read_key, signed_by
from injector.runtime.tls import insist_on_tls_1_3

if TYPE_CHECKING:
    from pathlib import Path

    from injector.pki import Certificate

TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
ROOTS_FILE: Final = "roots.pem"
ISSUER_ACCOUNT: Final = "injector-identity"

CALL_SECONDS: Final = 10.0
RENEW_AFTER: Final = 1 / 3
"""Of what is left when it comes; a tenth of that sooner or later, so that replicas do not all ask at once. The start
of its validity, which lies before, does not count."""
SPREAD: Final = 0.1
LOOK_SECONDS: Final = 5.0
"""How often the roots are read again, and the clock is looked at."""
RETRY_BASE_SECONDS: Final = 0.5
RETRY_CAP_SECONDS: Final = 15.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What the process has now. Moments are seconds since 1970."""

    key: bytes = field(repr=False)
    chain: bytes
    roots: bytes
    issuer: Certificate
    not_after: float
    renew_at: float


class Certified:
    """Run `run` for ever; what else it gives is always the newest.

    `directory` holds the projected token and the roots, `address` is the issuer's, `subject` who we are.
    """

    def __init__(self, directory: Path, address: str, subject: SpiffeId) -> None:
        insist_on_tls_1_3()
        self._directory = directory
        self._address = address
        self._subject = subject
        self._server = SpiffeId(subject.trust_domain, subject.namespace, ISSUER_ACCOUNT)
        self._held: Held | None = None
        self._fault = "waiting for a certificate: nobody has been asked yet"
        self._there = asyncio.Event()
        self._look = asyncio.Event()
        self._wish = b""

    @property
    def expiry(self) -> float:
        """End of its validity (seconds since 1970); 0 while there is none."""
        return self._held.not_after if self._held else 0.0

    def fault(self) -> str | None:
        """Why there is none that can be served with, a sentence; None where there is one."""
        return None if self._held is not None and time.time() < self._held.not_after else self._fault

    async def wait(self) -> None:
        """Return once there is one."""
        await self._there.wait()

    def trust(self) -> pb.Trust:
        """What a rotation has to know of this process: whom it accepts and who vouches for it. Empty while there is no
        certificate."""
        held = self._held
        if held is None:
            return pb.Trust()
        roots = [fingerprint(root) for root in read_bundle(held.roots)]
        return pb.Trust(roots=roots, issuer=fingerprint(held.issuer), not_after=int(held.not_after))

    def wish(self, issuer: bytes) -> None:
        """Certificates of the issuer with this fingerprint are wanted (b"": no wish): have one soon."""
        self._wish = issuer
        self._look.set()

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials that always serve the newest, and demand one of the client. There must be one (`wait`)."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=True
        )

    def channel(self, address: str, server: SpiffeId) -> aio.Channel:
        """A connection to another part, with what we have now; nobody but `server` is accepted at its end."""
        held = self._current()
        credentials = grpc.ssl_channel_credentials(held.roots, held.key, held.chain)
        return aio.secure_channel(address, credentials, _expecting(server))

    async def run(self) -> None:
        """Get a certificate, and another one in time, until cancelled."""
        backoff = Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        while True:
            pause = LOOK_SECONDS
            self._look.clear()
            try:
                await self._keep()
                backoff.reset()
            except (OSError, aio.AioRpcError, ValueError) as error:
                self._fault = f"waiting for a certificate from {self._address}: {_why(error)}"
                pause = backoff.next_delay()
                log.warning("no certificate", identity=str(self._subject), error=_why(error), retry_in=pause)
            try:
                await asyncio.wait_for(self._look.wait(), pause)
            except TimeoutError:
                continue

    async def _keep(self) -> None:
        roots = (self._directory / ROOTS_FILE).read_bytes()
        held = self._held
        if held is not None and held.roots != roots:
            self._held = held = Held(held.key, held.chain, roots, held.issuer, held.not_after, held.renew_at)
            log.info("other roots", roots=[root.id for root in read_bundle(roots)])
        if held is None or self._due(held, roots):
            await self._certify(roots)

    def _due(self, held: Held, roots: bytes) -> bool:
        """By its age; because another issuer is wished for; or because its own is no longer trusted."""
        unwanted = self._wish not in (b"", bytes.fromhex(held.issuer.id))
        trusted = any(root.id == held.issuer.id or signed_by(held.issuer, root) for root in read_bundle(roots))
        return time.time() >= held.renew_at or unwanted or not trusted

    async def _certify(self, roots: bytes) -> None:
        token = (self._directory / TOKEN_FILE).read_text().strip()
        key = new_key()
        request = pb.CertifyRequest(csr=_request(key, self._subject), token=token)
        credentials = grpc.ssl_channel_credentials(roots)
        async with aio.secure_channel(self._address, credentials, _expecting(self._server)) as channel:
            certify = channel.unary_unary(
                methods.CERTIFY,
                request_serializer=pb.CertifyRequest.SerializeToString,
                response_deserializer=pb.CertifyResponse.FromString,
            )
            answer: pb.CertifyResponse = await certify(request, timeout=CALL_SECONDS)
        parsed = [x509.load_der_x509_certificate(each) for each in answer.chain]
        chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in parsed)
        certificates = read_bundle(chain)
        if not certificates:
            raise ValueError("the issuer's answer: expected certificates, got none")
        now = time.time()
        life = (answer.not_after - now) * RENEW_AFTER
        renew_at = now + life * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load, guards nothing
        self._held = Held(key, chain, roots, (*certificates[1:], *certificates)[0], answer.not_after, renew_at)
        self._there.set()
        log.info("certified", identity=str(self._subject), until=answer.not_after)

    def _current(self) -> Held:
        held = self._held
        assert held is not None  # noqa: S101 - `wait` comes first
        return held

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        """Called by gRPC for each new connection, on a thread of its own: one look at one attribute."""
        held = self._current()
        return grpc.ssl_server_certificate_configuration([(held.key, held.chain)], held.roots)


def _expecting(server: SpiffeId) -> list[tuple[str, str]]:
    """Options of a channel: gRPC for Python matches no URIs, so the server's identity is matched by its DNS name."""
    return [("grpc.ssl_target_name_override", server.dns_name or "")]


def _request(key: bytes, subject: SpiffeId) -> bytes:
    """PKCS 10, DER, with the one name that we may have."""
    private = read_key(key)
    assert isinstance(private, ec.EllipticCurvePrivateKey)  # noqa: S101 - made by `new_key`
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(subject))])
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
    return asked.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _why(error: Exception) -> str:
    if isinstance(error, aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error)
