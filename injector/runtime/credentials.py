"""A gRPC server's certificate while it changes.

gRPC asks for the configuration at each new connection, and builds its handshakes anew from whatever it gets. While it
does, connections that begin at the same moment may use what it has just thrown away: with an answer for each
connection, twenty at once were enough to end the process (grpcio 1.85; grpc/grpc#22647 tells of a lock that is not
held). "As before" is an answer, too, and changes nothing. So a configuration is handed out once, every eight hours.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable


class Material(NamedTuple):
    """What a server shows and whom it believes, all PEM. Without roots its clients show no certificate."""

    key: bytes
    chain: bytes
    roots: bytes | None


class Configurations:
    """Answers gRPC's question, on its threads: with a configuration, or with None where nothing has changed since the
    last answer. `current` gives what there is to serve with."""

    def __init__(self, current: Callable[[], Material]) -> None:
        self._current: Final = current
        self._lock: Final = threading.Lock()
        self._given: Material | None = None

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The configuration of what is current, if it was not given yet."""
        with self._lock:
            now = self._current()
            if now == self._given:
                return None
            self._given = now
        return grpc.ssl_server_certificate_configuration([(now.key, now.chain)], now.roots)


def server_credentials(current: Callable[[], Material]) -> grpc.ServerCredentials:
    """Credentials that serve the newest of `current`, which must have something by now. Whether clients must show a
    certificate is decided here, by whether there are roots."""
    configurations = Configurations(current)
    # Its annotations leave out what its documentation says: that None is "as before".
    return grpc.dynamic_ssl_server_credentials(
        cast("grpc.ServerCertificateConfiguration", configurations.changed()),
        cast("Callable[[], grpc.ServerCertificateConfiguration]", configurations.changed),
        require_client_authentication=current().roots is not None,
    )
