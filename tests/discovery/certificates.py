"""A mesh's worth of certificates for tests: a root, and leaves with whatever a test needs in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from injector.pki import SpiffeId
from injector.runtime.renewed import Material

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVER_NAME = "injector-discovery.injector-system.id.cluster.local"


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def spiffe(namespace: str, account: str, domain: str = "cluster.local") -> str:
    return f"spiffe://{domain}/ns/{namespace}/sa/{account}"


@dataclass(frozen=True)
class Leaf:
    """PEM."""

    certificate: bytes
    key: bytes


@dataclass
class Root:
    """A root that signs leaves directly."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)

    def __post_init__(self) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
        builder = self._builder(self._name, self.key.public_key(), timedelta(days=1))
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = builder.add_extension(constraints, critical=True).sign(self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def leaf(self, uris: Sequence[str], dns: Sequence[str] = (), lifetime: timedelta = timedelta(hours=1)) -> Leaf:
        """A certificate with these names. A negative lifetime is over already."""
        key = _new_key()
        subject = x509.Name([])
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.DNSName(name) for name in dns]
        builder = self._builder(subject, key.public_key(), lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        pem = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Leaf(pem, private)

    def sign(self, asked: x509.CertificateSigningRequest) -> x509.Certificate:
        """What was asked for, for an hour."""
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        parsed = SpiffeId.parse(names.get_values_for_type(x509.UniformResourceIdentifier)[0])
        assert parsed is not None
        all_names = x509.SubjectAlternativeName([*names, x509.DNSName(parsed.dns_name or "")])
        builder = self._builder(x509.Name([]), public, timedelta(hours=1))
        return builder.add_extension(all_names, critical=True).sign(self.key, hashes.SHA256())

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER form."""
        return self.certificate.fingerprint(hashes.SHA256())

    def pod(self, namespace: str, account: str) -> Leaf:
        """What the issuer would give a pod."""
        return self.leaf([spiffe(namespace, account)], [f"{account}.{namespace}.id.cluster.local"])

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        end = datetime.now(UTC) + lifetime
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=2))
            .not_valid_after(end)
        )


def material(root: Root) -> Material:
    """What the discovery server shows; it demands a certificate of the client."""
    leaf = root.leaf([spiffe("injector-system", "injector-discovery")], [SERVER_NAME])
    return Material(leaf.key, leaf.certificate, root.pem)


def channel_credentials(root: Root, leaf: Leaf | None) -> grpc.ChannelCredentials:
    """A client's."""
    pair = (leaf.key, leaf.certificate) if leaf is not None else (None, None)
    return grpc.ssl_channel_credentials(root.pem, *pair)
