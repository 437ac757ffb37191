"""What a port is declared to carry: appProtocol of a Service's port, and lists of opaque ports in annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from injector.discovery.model import Protocol
from injector.inject.annotations import BY_NAME

if TYPE_CHECKING:
    from injector.inject.model import Json
    from injector.inject.ports import PortRange

OPAQUE_KEY: Final = BY_NAME["opaque-ports"]

_HTTP: Final = ("http", "kubernetes.io/ws")
"""A WebSocket begins as HTTP/1.1 and upgrades (RFC 6455, section 4)."""

_HTTP2: Final = ("grpc", "kubernetes.io/grpc", "kubernetes.io/h2c")
"""`kubernetes.io/grpc` was the name of gRPC in Kubernetes 1.26. Not `http2`: at one provider's gateways that word means
HTTP/2 inside TLS, so it says nothing of the first byte."""

_OPAQUE: Final = (
    # What it is, and nothing of what is in it.
    "tcp",
    # TLS of the application's own: only its two ends can read it.
    *("tls", "https", "kubernetes.io/wss", "amqps", "domain-s", "ftps", "imaps", "ldaps", "nntps", "pop3s"),
    *("secure-mqtt", "submissions"),
    # The server speaks first (MariaDB, no name of IANA's, as MySQL does): waiting for the client is in vain.
    *("ftp", "imap", "mariadb", "mysql", "nntp", "pop3", "rfb", "smtp", "ssh", "submission", "telnet"),
    # The client speaks first, and never HTTP.
    *("amqp", "domain", "ldap", "memcache", "mongodb", "mqtt", "ms-sql-s", "postgresql", "redis", "xmpp-client"),
)
"""Service names as IANA has registered them (RFC 6335), but for `tcp`, `tls`, `mariadb` and Kubernetes' own."""

_BY_NAME: Final = {
    name: protocol
    for protocol, names in ((Protocol.HTTP, _HTTP), (Protocol.HTTP2, _HTTP2), (Protocol.OPAQUE, _OPAQUE))
    for name in names
}


def protocol(port: Json) -> Protocol:
    """What a port of a Service is declared to carry. A word that is not known declares nothing: bytes are looked at."""
    word = port.get("appProtocol") or ""
    return _BY_NAME.get(word.lower(), Protocol.UNDECLARED)  # service names know no case (RFC 6335, section 5.1)


def opaque_ports(item: Json) -> tuple[PortRange, ...] | None:
    """The ports that an object's annotation declares to carry plain bytes; None where it says nothing, or nothing that
    can be read: admission tells the author so for pods and namespaces, and nobody else is there to be told."""
    text = (item["metadata"].get("annotations") or {}).get(OPAQUE_KEY.annotation)
    if text is None:
        return None
    try:
        listed: tuple[PortRange, ...] = OPAQUE_KEY.read(text)
    except ValueError:
        return None
    return listed
