"""Certificates and requests that nobody should accept, and some that everybody should: made with the mesh's own issuer
key, which only an administrator, such as these tests, can read."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from injector.inject.names import SYSTEM_NAMESPACE
from tests.cluster.support.api import Api

ISSUER_SECRET: Final = "injector-identity-issuer"
TRUST_DOMAIN: Final = "cluster.local"
HOUR: Final = timedelta(hours=1)
BOTH_USES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True)
class Credentials:
    """What a client shows, as PEM: its chain without the root, and the key."""

    chain: str
    key: str


@dataclass(frozen=True)
class Issuer:
    """Somebody who signs: ours, or one that only looks like it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(
        self,
        *uris: str,
        begins: timedelta = -HOUR,
        ends: timedelta = HOUR,
        uses: tuple[x509.ObjectIdentifier, ...] = BOTH_USES,
    ) -> Credentials:
        """A leaf with these URI names, valid between these moments from now."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if uris:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
            builder = builder.add_extension(names, critical=True)
        leaf = builder.sign(self.key, hashes.SHA256())
        chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (leaf, self.certificate))
        return Credentials(chain.decode(), _pem(key))


def real_issuer(api: Api) -> Issuer:
    """The one that signs now."""
    data = api.get("Secret", ISSUER_SECRET, SYSTEM_NAMESPACE)["data"]
    key = serialization.load_pem_private_key(base64.b64decode(data["tls.key"]), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Issuer(x509.load_pem_x509_certificates(base64.b64decode(data["tls.crt"]))[0], key)


def stranger() -> Issuer:
    """A root of its own, with our root's habits and none of its trust."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "injector root")])
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Issuer(root, key)


def spiffe(namespace: str, account: str, trust_domain: str = TRUST_DOMAIN) -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"


def request(*uris: str, key: ec.EllipticCurvePrivateKey | None = None) -> tuple[str, ec.EllipticCurvePrivateKey]:
    """A certificate request for these URI names (PKCS 10, DER, base64), and its key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return base64.b64encode(der).decode(), key


def credentials(chain: list[str], key: ec.EllipticCurvePrivateKey) -> Credentials:
    """What the issuer has answered (DER, base64) as a client's."""
    parsed = (x509.load_der_x509_certificate(base64.b64decode(each)) for each in chain)
    pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in parsed)
    return Credentials(pem.decode(), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()
