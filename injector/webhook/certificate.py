"""The serving certificate: followed by watch, swapped in memory. The private key never reaches a disk."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from cryptography import x509

from injector.kube.informer import Informer, Selection
from injector.kube.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.kube.client import KubeClient, Object
    from injector.kube.informer import Key

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM texts of the Secret; `repr` is silent, because reprs end up in logs."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(…)"


@dataclass(frozen=True, slots=True)
class Serving:
    """What new connections are served with."""

    context: ssl.SSLContext
    not_before: datetime
    not_after: datetime


def project(secret: Object) -> KeyPair | None:
    """The pair in a Secret of type kubernetes.io/tls; None where it has none."""
    data = secret.get("data") or {}
    try:
        certificate, key = (base64.b64decode(data[name], validate=True) for name in ("tls.crt", "tls.key"))
    except (KeyError, binascii.Error):
        return None
    return KeyPair(certificate, key)


def load(pair: KeyPair) -> Serving:
    """A TLS context from PEM; raises ValueError where certificate and key are not a usable pair."""
    leaf = x509.load_pem_x509_certificate(pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # API servers do not resume sessions; two tickets a handshake would be computed and sent for nobody.
    context.num_tickets = 0
    # OpenSSL reads a chain from a path only: one in memory, unlinked from the start, gone when it is closed.
    descriptor = os.memfd_create("serving-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pair.key.rstrip() + b"\n" + pair.certificate)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        raise ValueError(f"certificate and key do not go together: {error.reason}") from error
    return Serving(context, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


class ServingCertificate:
    """Follows one Secret. A new pair serves the next connection; an unusable one changes nothing but the log."""

    def __init__(
        self, kube: KubeClient, namespace: str, name: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._where = f"Secret {namespace}/{name}"
        self._now = now
        self._serving: Serving | None = None
        selection = Selection.one(SECRETS, namespace=namespace, name=name)
        self.informer = Informer(kube, selection, project, self._on_change)

    def context(self) -> ssl.SSLContext | None:
        """The TLS context for a new connection; None before there is a certificate."""
        return self._serving.context if self._serving is not None else None

    @property
    def expiry(self) -> float:
        """When the certificate expires, in Unix seconds; 0 without one."""
        return self._serving.not_after.timestamp() if self._serving is not None else 0.0

    def fault(self) -> str | None:
        """Why nobody could trust us at this moment; None if all is well."""
        if self._serving is None:
            return f"{self._where} holds no usable certificate; injector-controller makes it"
        now = self._now()
        if not self._serving.not_before <= now < self._serving.not_after:
            return f"the certificate in {self._where} is not valid now; injector-controller renews it"
        return None

    def _on_change(self, key: Key, old: KeyPair | None, new: KeyPair | None) -> None:
        if new is None:
            # Deleted, and about to be made again: until then the old one is worth more than none.
            log.warning("serving certificate is gone from its Secret", secret=self._where)
            return
        try:
            self._serving = load(new)
        except ValueError as error:
            log.warning("serving certificate is not usable", secret=self._where, error=str(error))
            return
        log.info("serving certificate loaded", secret=self._where, expires=self._serving.not_after.isoformat())
