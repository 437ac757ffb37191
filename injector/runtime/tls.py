"""TLS as every gRPC port and client of ours speaks it."""

from __future__ import annotations

import injector
from injector.runtime.errors import StartupError


def insist_on_tls_1_3() -> None:
    """Raises `StartupError` in a process where gRPC would speak TLS 1.2: the package `injector` says that it must not,
    and gRPC hears that only while it is being imported."""
    if injector.GRPC_CAME_FIRST:
        raise StartupError("grpc was imported before injector, and would accept TLS 1.2: import injector first")
