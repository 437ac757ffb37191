"""TLS as every gRPC port and client of ours speaks it."""

from __future__ import annotations

import os

# gRPC for Python cannot be given a least version, but it can the suites of TLS 1.2. This one needs an RSA certificate,
# and ours are ECDSA: no handshake of 1.2 ends well, and those of 1.3 have suites of their own.
_NO_SUITE_OF_TLS_1_2 = "ECDHE-RSA-AES256-GCM-SHA384"


def insist_on_tls_1_3() -> None:
    """Before the process makes its first credentials: gRPC reads it then, and only once."""
    os.environ["GRPC_SSL_CIPHER_SUITES"] = _NO_SUITE_OF_TLS_1_2
