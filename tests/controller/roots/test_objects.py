"""What stands in the objects of a rotation, written by whoever can write there."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from injector.controller.roots.objects import answered
from injector.pki import issuer_request, new_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_request_for_a_key_of_no_known_kind_needs_no_answer() -> None:
    good = x509.load_pem_x509_csr(issuer_request(new_key(), NOW)).public_bytes(Encoding.DER)
    # id-ecPublicKey (1.2.840.10045.2.1), and the same with another last number.
    strange = good.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209"))
    assert strange != good
    text = base64.encodebytes(strange)
    assert answered(b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n", None)
    assert answered(b"nonsense", None)
    assert not answered(issuer_request(new_key(), NOW), None)
