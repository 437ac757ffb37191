"""The proxies whose streams are open here: who may join, and what they have said of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from injector.api import mesh_pb2 as pb
from injector.discovery.wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from injector.discovery.model import Identity

REPORTED_AT_ONCE: Final = 500
"""Proxies in one part of a report (the contract): at some 250 bytes each, 125 KB."""

SPARE_STREAMS: Final = 64
"""Streams that a namespace may have beyond two for each of its meshed pods: a rollout's worth of pods that our watch
has not shown yet. Two, because a stream that broke without a word is noticed only by the keep-alive."""

LONGEST_NAME: Final = 253
"""Characters of a pod's or a node's name (DNS subdomain), and more than any version or uid has."""

MOST_ROOTS: Final = 16
"""Roots that a proxy may say it trusts. A rotation has two."""

FINGERPRINT_BYTES: Final = 32


@dataclass(eq=False, slots=True)
class Proxy:
    """One stream: who, by its certificate; the rest by its own word. `leave` ends the stream."""

    identity: Identity
    hello: pb.Hello
    leave: Callable[[], None]
    trust: pb.Trust = field(init=False)

    def __post_init__(self) -> None:
        self.trust = self.hello.trust


class Fleet:
    """`meshed_pods` says how many pods of a namespace have our sidecar; `own` is what a report says of this process,
    which is first in each: a rotation waits for discovery as it waits for proxies."""

    def __init__(self, meshed_pods: Callable[[str], int], own: Callable[[], pb.ReportResponse.Proxy]) -> None:
        self._meshed_pods = meshed_pods
        self._own = own
        self._proxies: dict[tuple[Identity, str], Proxy] = {}
        self._of_namespace: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._proxies)

    def has_room(self, namespace: str) -> bool:
        """Whether one more stream of the namespace may be opened."""
        allowed = 2 * self._meshed_pods(namespace) + SPARE_STREAMS
        return self._of_namespace.get(namespace, 0) < allowed

    def join(self, proxy: Proxy) -> Proxy | None:
        """Count it in. The stream that the same pod had before, if it is still there, is out and returned: a pod has
        one proxy, and what its dead connection said last must not hold up a rotation."""
        before = self._proxies.get(_key(proxy))
        if before is not None:
            self.part(before)
        self._proxies[_key(proxy)] = proxy
        namespace = proxy.identity.namespace
        self._of_namespace[namespace] = self._of_namespace.get(namespace, 0) + 1
        return before

    def part(self, proxy: Proxy) -> None:
        """Count it out; saying so twice does nothing."""
        if self._proxies.get(_key(proxy)) is not proxy:
            return
        del self._proxies[_key(proxy)]
        namespace = proxy.identity.namespace
        self._of_namespace[namespace] -= 1
        if not self._of_namespace[namespace]:
            del self._of_namespace[namespace]

    def report(self) -> Iterator[bytes]:
        """The contract's parts of a report."""
        yield pb.ReportResponse(proxies=[self._own()]).SerializeToString()
        proxies = list(self._proxies.values())
        for start in range(0, len(proxies), REPORTED_AT_ONCE):
            part = pb.ReportResponse()
            for proxy in proxies[start : start + REPORTED_AT_ONCE]:
                part.proxies.add(
                    namespace=proxy.identity.namespace,
                    pod=proxy.hello.pod,
                    pod_uid=proxy.hello.pod_uid,
                    proxy_version=proxy.hello.proxy_version,
                    trust=proxy.trust,
                )
            yield part.SerializeToString()


def _key(proxy: Proxy) -> tuple[Identity, str]:
    # A proxy that does not say which pod it is in stands for itself.
    return proxy.identity, proxy.hello.pod_uid or f"?{id(proxy)}"


def check_hello(hello: pb.Hello) -> None:
    """Raise `Malformed` for a hello that no proxy sends."""
    for name in ("proxy_version", "pod", "pod_uid", "node"):
        length = len(getattr(hello, name))
        if length > LONGEST_NAME:
            raise Malformed(f"hello.{name}: expected at most {LONGEST_NAME} characters, got {length}")
    check_trust(hello.trust)


def check_trust(trust: pb.Trust) -> None:
    """Raise `Malformed` for what cannot be fingerprints of certificates."""
    if len(trust.roots) > MOST_ROOTS:
        raise Malformed(f"trust.roots: expected at most {MOST_ROOTS}, got {len(trust.roots)}")
    for fingerprint in (*trust.roots, *filter(None, [trust.issuer])):
        if len(fingerprint) != FINGERPRINT_BYTES:
            raise Malformed(f"trust: expected fingerprints of {FINGERPRINT_BYTES} bytes, got {len(fingerprint)}")
