"""Two meshed pods: what is on the cable between them, who is let in, and what a stranger gets."""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.netns.pods import Pod, Proxy, exchange, rules
from tests.netns.volumes import Authority, endpoint

pytestmark = pytest.mark.netns

ETH_P_ALL = 3
CANARY = b"the canary that nobody on the cable may read"
SERVICE = "10.99.0.7"


class Capture:
    """Every frame on a pod's cable, for as long as the block lasts."""

    def __init__(self, pod: Pod) -> None:
        self._socket = pod.inside(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.bind(("eth0", 0))
        self._socket.settimeout(0.1)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self.frames: list[bytes] = []

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def saw(self, text: bytes) -> bool:
        return any(text in frame for frame in self.frames)

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                self.frames.append(self._socket.recv(1 << 16))
            except TimeoutError:
                continue


@contextmanager
def mesh(client: Pod, server: Pod, account: str = "default", **environment: str) -> Iterator[tuple[Proxy, Proxy]]:
    """Both pods redirected, with their sidecars; the client's knows that the server's is `account`, by its own
    addresses and as the only endpoint of a Service at port 80."""
    client.execute("ip", "route", "add", f"{SERVICE}/32", "via", server.v4)
    client.volumes.know(
        {
            (SERVICE, 80): [endpoint(server.v4, 8080, account)],
            (server.v4, 8080): [endpoint(server.v4, 8080, account)],
            (server.v6, 8080): [endpoint(server.v6, 8080, account)],
            (server.v4, 9090): [endpoint(server.v4, 9090, None)],
        }
    )
    for pod in (client, server):
        done = pod.init(rules())
        assert done.returncode == 0, done.stderr
    with client.proxy() as ours, server.proxy(**environment) as theirs:
        yield ours, theirs


def test_nothing_on_the_cable_is_readable(client: Pod, server: Pod) -> None:
    with mesh(client, server) as (ours, theirs), server.echo(port=8080) as clients, Capture(client) as capture:
        for address, port in ((SERVICE, 80), (server.v4, 8080), (server.v6, 8080)):
            with client.connect(address, port) as stream:
                assert exchange(stream, CANARY * 1000) == CANARY * 1000
        assert clients == [server.v4, server.v4, server.v6], "the application is dialled at the pod's own address"
        for proxy, direction in ((ours, "outbound"), (theirs, "inbound")):
            assert proxy.metric("tls_handshakes_total", direction=direction) == 3
            assert proxy.metric("tcp_plaintext_total", direction=direction) == 0
    assert not capture.saw(CANARY)


def test_the_capture_sees_what_is_plain(client: Pod, server: Pod) -> None:
    with mesh(client, server) as (ours, theirs), server.echo(port=9090), Capture(client) as capture:
        with client.connect(server.v4, 9090) as stream:
            assert exchange(stream, CANARY) == CANARY
        assert ours.metric("tcp_plaintext_total", direction="outbound", reason="unmeshed_endpoint") == 1
        assert theirs.metric("tcp_plaintext_total", direction="inbound", reason="unmeshed_client") == 1
    assert capture.saw(CANARY)


def test_resets_cross_both_proxies(client: Pod, server: Pod) -> None:
    with mesh(client, server), pytest.raises(ConnectionResetError), client.connect(server.v4, 8080) as stream:
        stream.recv(1)


@pytest.mark.parametrize(
    ("policy", "meshed", "plain"),
    [
        ("all-unauthenticated", True, True),
        ("all-authenticated", True, False),
        ("cluster-unauthenticated", True, True),
        ("cluster-authenticated", True, False),
        ("deny", False, False),
    ],
)
def test_who_may_come_in(client: Pod, server: Pod, policy: str, meshed: bool, plain: bool) -> None:
    server.volumes.trust(networks=["10.77.0.0/24"])
    with mesh(client, server, INJECTOR_DEFAULT_INBOUND_POLICY=policy) as (_, theirs), server.echo(port=8080):
        with server.echo(port=9090):
            assert answers(client, server.v4, 8080) == meshed
            assert answers(client, server.v4, 9090) == plain
        refused = theirs.metric("tcp_refused_total", direction="inbound")
        assert refused == (not meshed) + (not plain)


def answers(client: Pod, address: str, port: int) -> bool:
    try:
        with client.connect(address, port) as stream:
            return exchange(stream, b"hello") == b"hello"
    except (ConnectionResetError, BrokenPipeError):
        return False


def test_strangers_who_say_nothing_keep_nobody_out(client: Pod, server: Pod) -> None:
    """They may have 1,024 seats, and the oldest of them gives one up to whoever comes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    with mesh(client, server) as (_, theirs), server.echo(port=8080), ExitStack() as strangers:
        for _ in range(1100):
            strangers.enter_context(client.connect(server.v4, 4143))
        assert answers(client, server.v4, 8080)
        theirs.wait_metric(1100 + 1 - 1024, "tls_handshake_failures_total", direction="inbound", reason="crowded")
        assert theirs.metric("tls_handshakes_total", direction="inbound") == 1


def test_another_identity_gets_no_bytes(client: Pod, server: Pod) -> None:
    with mesh(client, server, account="other") as (ours, theirs), server.echo(port=8080) as clients:
        assert not answers(client, server.v4, 8080)
        assert clients == []
        assert ours.metric("tls_handshake_failures_total", direction="outbound", reason="wrong_identity") == 1
        assert ours.metric("tcp_plaintext_total") == 0
        theirs.wait_metric(1, "tls_handshake_failures_total", direction="inbound")


def test_another_root_gets_no_bytes(client: Pod, server: Pod) -> None:
    client.volumes.trust(of=Authority())
    with mesh(client, server) as (ours, theirs), server.echo(port=8080) as clients:
        assert not answers(client, server.v4, 8080)
        assert clients == []
        assert ours.metric("tls_handshake_failures_total", direction="outbound", reason="other_root") == 1
        theirs.wait_metric(1, "tls_handshake_failures_total", direction="inbound")


def test_a_pod_reaches_itself_through_a_service(client: Pod, server: Pod) -> None:
    """And the proxy does not take its own connection for a loop."""
    client.volumes.know({(SERVICE, 80): [endpoint(client.v4, 8080)]})
    client.execute("ip", "route", "add", f"{SERVICE}/32", "via", server.v4)
    assert client.init(rules()).returncode == 0
    with client.proxy() as ours, client.echo(port=8080):
        with client.connect(SERVICE, 80) as stream:
            assert exchange(stream, b"me") == b"me"
        assert ours.metric("tls_handshakes_total", direction="inbound") == 1
        assert ours.metric("tcp_refused_total") == 0


def test_unknown_destinations_in_the_clusters_networks_are_refused(client: Pod, server: Pod) -> None:
    client.volumes.trust(networks=["10.77.0.0/24"])
    for pod in (client, server):
        assert pod.init(rules()).returncode == 0
    with server.echo(port=8080):
        with client.proxy() as ours:
            assert not answers(client, server.v4, 8080)
            assert ours.metric("tcp_refused_total", reason="unknown_destination") == 1
        with client.proxy(INJECTOR_UNKNOWN_DESTINATIONS="pass") as ours, server.proxy():
            assert answers(client, server.v4, 8080)
            assert ours.metric("tcp_plaintext_total", reason="unknown_destination") == 1
