"""A part's own certificate: asked for with its pod's token, like any pod's, kept in memory and renewed in time."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field, replace
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
from injector.pki import SpiffeId, fingerprint, new_key, read_bundle, read_key, same_key, signed_by
from injector.runtime.renewed import Material
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
LONGEST_PATIENCE_SECONDS: Final = 300.0
"""Between two requests by one that has a certificate, but not of the issuer that is wanted, nor gets one: 5 s after the
first, for the replicas of the issuer hear of it moments later than we do, then twice as long each time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What the process has now. Moments are seconds since 1970."""

    key: bytes = field(repr=False)
    chain: bytes
    roots: bytes
    issuer: Certificate
    end: Certificate
    """The last of the chain: the one that a root must have signed."""
    not_after: float
    renew_at: float

    def trusted(self) -> bool:
        """Whether the roots of now vouch for it."""
        return any(root.id == self.end.id or signed_by(self.end, root) for root in read_bundle(self.roots))


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
        self._changed = asyncio.Event()
        self._look = asyncio.Event()
        self._wish = b""
        self._in_vain = 0
        self._ask_again = 0.0

    def fault(self) -> str | None:
        """Why there is none that can be served with, a sentence; None where there is one."""
        return None if self._held is not None and time.time() < self._held.not_after else self._fault

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

    async def material(self, other_than: Material | None) -> Material:
        """What to serve with, as soon as there is something other than this. It demands a certificate of clients."""
        while True:
            changed = self._changed
            if self._held is not None and (now := _material(self._held)) != other_than:
                return now
            await changed.wait()

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
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _keep(self) -> None:
        roots = (self._directory / ROOTS_FILE).read_bytes()
        if not read_bundle(roots):
            raise ValueError(f"{self._directory / ROOTS_FILE}: expected at least one certificate as PEM, got none")
        held = self._held
        if held is not None and held.roots != roots:
            held = self._hold(replace(held, roots=roots))
            log.info("other roots", roots=[root.id for root in read_bundle(roots)])
        if held is None or self._due(held):
            fresh = await self._certify(roots)
            vain = self._unwanted(fresh)
            # One that is no better is not taken: a server is exchanged for each.
            if held is None or not vain or fresh.issuer != held.issuer or time.time() >= held.renew_at:
                held = self._hold(fresh)
                log.info("certified", identity=str(self._subject), until=held.not_after)
            self._in_vain = self._in_vain + 1 if vain else 0
            patience = min(LONGEST_PATIENCE_SECONDS, LOOK_SECONDS * 2.0 ** max(0, min(self._in_vain, 16) - 1))
            self._ask_again = time.monotonic() + patience

    def _hold(self, held: Held) -> Held:
        self._held = held
        self._changed.set()
        self._changed = asyncio.Event()
        return held

    def _due(self, held: Held) -> bool:
        """By its age; or because another issuer's is wanted, unless that was asked for in vain a moment ago."""
        if time.time() >= held.renew_at:
            return True
        return self._unwanted(held) and (not self._in_vain or time.monotonic() >= self._ask_again)

    def _unwanted(self, held: Held) -> bool:
        """Another issuer is wished for, or no root that is trusted now stands behind it."""
        return self._wish not in (b"", fingerprint(held.issuer)) or not held.trusted()

    async def _certify(self, roots: bytes) -> Held:
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
        return _held(key, roots, answer, time.time())

    def _current(self) -> Held:
        held = self._held
        assert held is not None  # noqa: S101 - whoever asks has looked at `fault`
        return held


def _material(held: Held) -> Material:
    """What a server shows of it. The same roots in another order are the same: none is exchanged for that."""
    roots = sorted({root.pem for root in read_bundle(held.roots)})
    return Material(held.key, held.chain, b"".join(roots))


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


def _held(key: bytes, roots: bytes, answer: pb.CertifyResponse, now: float) -> Held:
    """What the issuer gave; raises `ValueError` where nothing can be done with it."""
    parsed = [x509.load_der_x509_certificate(each) for each in answer.chain]
    chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in parsed)
    certificates = read_bundle(chain)
    if len(certificates) < 2:  # ours, and who signed it
        raise ValueError(f"the issuer's answer: expected two certificates or more, got {len(certificates)}")
    if not same_key(chain, key):
        raise ValueError("the issuer's answer: expected a certificate of our key, got one of another")
    left = answer.not_after - now
    if left <= 0:
        raise ValueError(f"the issuer's answer has expired {-left:.0f} s ago by our clock: one of the two is wrong")
    renew_at = now + left * RENEW_AFTER * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load
    return Held(key, chain, roots, certificates[1], certificates[-1], answer.not_after, renew_at)


def _why(error: Exception) -> str:
    if isinstance(error, aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error)
