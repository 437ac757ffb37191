"""Injector: a service mesh for Kubernetes that asks for one annotation."""

import os
import sys

# gRPC for Python cannot be given a least version of TLS, but it can the suites of TLS 1.2. This one needs an RSA
# certificate, and ours are ECDSA: no handshake of 1.2 ends well, and those of 1.3 have suites of their own. gRPC reads
# it once, while it is being imported; so it stands here, before any module of ours can import gRPC.
GRPC_CAME_FIRST = "grpc" in sys.modules
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for: looking it up costs a tenth of a command's start."""
    if name == "__version__":
        from importlib.metadata import version

        return version("injector-mesh")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
