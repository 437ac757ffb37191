"""caBundle and the serving certificate, good and spoilt."""

import base64
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from injector.cli.checks.certificates import SERVER_NAME, certificate_lines
from injector.cli.checks.lines import Status

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA with its key."""

    def __init__(self, begins: int = -100, ends: int = 265) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        self.certificate = self._sign(self.name, self.key, begins, ends, x509.BasicConstraints(ca=True, path_length=0))

    def _sign(self, subject: x509.Name, key: Any, begins: int, ends: int, extension: Any) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=True)
        return (
            builder.not_valid_before(NOW + begins * DAY)
            .not_valid_after(NOW + ends * DAY)
            .sign(self.key, hashes.SHA256())
        )

    def leaf(self, begins: int = -10, ends: int = 20, name: str = SERVER_NAME) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        return self._sign(x509.Name([]), key, begins, ends, names).public_bytes(Encoding.PEM)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


CA = Authority()


def said(served: bytes | None, *bundles: bytes | None) -> list[tuple[str, str]]:
    webhooks = [
        {"clientConfig": {"caBundle": base64.b64encode(bundle).decode()} if bundle is not None else {}}
        for bundle in bundles
    ]
    lines = certificate_lines({"webhooks": webhooks}, served, NOW)
    return [("✓" if line.status is Status.GOOD else "✗", line.text) for line in lines]


def test_all_is_well() -> None:
    assert said(CA.leaf(), CA.pem, CA.pem, CA.pem) == [
        ("✓", "caBundle is valid until 2027-02-21 00:00 UTC"),
        ("✓", "the serving certificate is valid until 2026-06-21 00:00 UTC"),
    ]
    assert len(said(None, CA.pem)) == 1, "without the certificate, nothing is said of it"


def test_two_authorities_overlap_during_a_rotation() -> None:
    old = Authority(-300, 5)
    for issuer in (old, CA):
        assert [mark for mark, _ in said(issuer.leaf(), old.pem + CA.pem)] == ["✓", "✓"]
    assert [mark for mark, _ in said(CA.leaf(), Authority(-300, -5).pem + CA.pem)] == ["✓", "✓"]


@pytest.mark.parametrize(
    ("served", "bundles", "message"),
    [
        (None, [None], "caBundle is missing"),
        (None, [CA.pem, None], "caBundle is missing"),
        (None, [CA.pem, Authority().pem], "caBundle differs between the webhook's entries"),
        (None, [b"junk"], "caBundle is not made of certificates"),
        (None, [Authority(-100, -1).pem], "caBundle expired 2026-05-31 00:00 UTC"),
        (None, [Authority(-300, 3).pem], "caBundle expires 2026-06-04 00:00 UTC and was not renewed"),
        (Authority().leaf(), [CA.pem], "the serving certificate was not issued by the CA in caBundle"),
        (CA.leaf(name="other.svc"), [CA.pem], f"the serving certificate is not for {SERVER_NAME}"),
        (CA.leaf(-40, -1), [CA.pem], "the serving certificate expired 2026-05-31 00:00 UTC"),
        (CA.leaf(-28, 2), [CA.pem], "the serving certificate expires 2026-06-03 00:00 UTC and was not renewed"),
        (CA.leaf(1, 30), [CA.pem], "the serving certificate is not valid before 2026-06-02 00:00 UTC"),
        (b"junk", [CA.pem], "the serving certificate cannot be read"),
    ],
)
def test_what_is_spoilt_is_said(served: bytes | None, bundles: list[bytes | None], message: str) -> None:
    faults = [text for mark, text in said(served, *bundles) if mark == "✗"]
    assert any(text.startswith(message) for text in faults), faults


def test_a_short_life_that_was_chosen_is_no_fault_by_itself() -> None:
    assert [mark for mark, _ in said(CA.leaf(-1, 2), CA.pem)] == ["✓", "✓"]
