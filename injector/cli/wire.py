"""The certificate that a pod's proxy shows on the wire, and what it says."""

import datetime
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from injector.cli.outcome import CommandError

if TYPE_CHECKING:
    from injector.kube.portforward import Forwarded

PROTOCOL: Final = "injector/1"
"""The name that proxies agree on (ALPN)."""


async def shown_certificate(connection: "Forwarded") -> bytes:
    """The server's certificate (DER), from a handshake to which we bring none: in TLS 1.3 the server's comes first, and
    nothing about it is believed here but that its owner signed the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([PROTOCOL])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await connection.send(outgoing.read())
        except ssl.SSLError as error:
            raise CommandError(f"the proxy's port answers, but not with TLS 1.3: {error.reason or error}") from error
        else:
            return tls.getpeercert(binary_form=True) or b""
        data = await connection.receive()
        if not data:
            raise CommandError("the proxy closed the connection before it showed a certificate: has it one yet?")
        incoming.write(data)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate says. `signed_by` is the published issuer's fingerprint where its key made the signature."""

    identities: tuple[str, ...]
    fingerprint: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    signed_by: str | None


def read_shown(der: bytes, issuer_pem: bytes) -> Shown:
    """The certificate's content, and whether the published issuer signed it."""
    from injector.pki import fingerprint, read_bundle, signed_by

    parsed = x509.load_der_x509_certificate(der)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identities = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        identities = ()
    (leaf,) = read_bundle(parsed.public_bytes(Encoding.PEM))
    issuers = read_bundle(issuer_pem)[:1]
    signer = next((fingerprint(issuer).hex() for issuer in issuers if signed_by(leaf, issuer)), None)
    digest = parsed.fingerprint(hashes.SHA256()).hex()
    return Shown(identities, digest, parsed.not_valid_before_utc, parsed.not_valid_after_utc, signer)
