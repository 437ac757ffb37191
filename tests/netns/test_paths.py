"""What redirection does to connections: proven by connecting."""

import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.netns.pods import Pod, Proxy, exchange, rules

pytestmark = pytest.mark.netns

SIXTEEN = "1001,1003,1005,1007,1009,1011,1013,1015,1017,1019,1021,1023,1025,1027,1029,7000-7010"
"""More than the 15 slots of one multiport match; the range is in the second."""


@contextmanager
def meshed(client: Pod, server: Pod, **annotations: str) -> Iterator[tuple[Proxy, Proxy]]:
    """Both pods redirected by the same annotations, and their sidecars."""
    for pod in (client, server):
        done = pod.init(rules(**annotations))
        assert done.returncode == 0, done.stderr
    with client.proxy() as ours, server.proxy() as theirs:
        yield ours, theirs


def carried(ours: Proxy, theirs: Proxy) -> tuple[int, int]:
    """Connections so far through the client's proxy (outbound) and through the server's (inbound)."""
    outbound = ours.metric("tcp_connections_total", direction="outbound")
    return outbound, theirs.metric("tcp_connections_total", direction="inbound")


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_bytes_are_counted_by_both_proxies(client: Pod, server: Pod, family: str) -> None:
    address = getattr(server, family)
    with meshed(client, server) as (ours, theirs), server.echo(port=8080) as clients:
        with client.connect(address, 8080) as stream:
            assert exchange(stream, b"x" * 300_000) == b"x" * 300_000
        assert clients == [address], "the application is dialled at the pod's own address"
        for proxy, direction in ((ours, "outbound"), (theirs, "inbound")):
            for flow in ("in", "out"):
                # It is counted when it has been passed on, by a thread that may be slower than we.
                proxy.wait_metric(300_000, "tcp_bytes_total", direction=direction, flow=flow)
            assert proxy.metric("tcp_connections_total", direction=direction, opaque="no") == 1
            assert proxy.metric("tcp_open_connections", direction=direction) == 0
        assert ours.metric("tcp_connections_total", direction="inbound") == 0
        assert theirs.metric("tcp_connections_total", direction="outbound") == 0


@pytest.mark.parametrize(
    ("annotations", "port", "expected"),
    [
        pytest.param({"skip_outbound_ports": "8080"}, 8080, (0, 1), id="outbound port"),
        pytest.param({"skip_outbound_ports": "8080"}, 8081, (1, 1), id="another outbound port"),
        pytest.param({"skip_inbound_ports": "8080"}, 8080, (1, 0), id="inbound port"),
        pytest.param({"skip_inbound_ports": "8000-8100"}, 8080, (1, 0), id="inbound range"),
        pytest.param({"skip_inbound_ports": "8000-8100"}, 8101, (1, 1), id="beside the inbound range"),
        pytest.param({"skip_outbound_ports": SIXTEEN}, 7005, (0, 1), id="outbound, second match"),
        pytest.param({"skip_inbound_ports": SIXTEEN}, 7010, (1, 0), id="inbound, second match"),
        pytest.param({"skip_inbound_ports": SIXTEEN}, 1001, (1, 0), id="inbound, first match"),
        pytest.param({"skip_inbound_ports": SIXTEEN}, 7011, (1, 1), id="inbound, beside the second match"),
        pytest.param({"skip_outbound_subnets": "10.77.0.0/24,fd77::/64"}, 8080, (0, 1), id="outbound subnets"),
        pytest.param({"skip_inbound_subnets": "10.77.0.1/32,fd77::1/128"}, 8080, (1, 0), id="inbound subnets"),
        pytest.param({"skip_inbound_subnets": "10.77.0.2/32,fd77::2/128"}, 8080, (1, 1), id="other inbound subnets"),
        pytest.param({"skip_outbound_subnets": "0.0.0.0/0,::/0"}, 8080, (0, 1), id="everything outbound"),
    ],
)
def test_what_is_skipped_goes_straight(
    client: Pod, server: Pod, annotations: dict[str, str], port: int, expected: tuple[int, int]
) -> None:
    with meshed(client, server, **annotations) as proxies, server.echo(port=port):
        for count, address in enumerate((server.v4, server.v6), start=1):
            with client.connect(address, port) as stream:
                assert exchange(stream, b"hello") == b"hello"
            assert carried(*proxies) == (expected[0] * count, expected[1] * count), address


def test_a_subnet_of_one_family_leaves_the_other(client: Pod, server: Pod) -> None:
    with meshed(client, server, skip_outbound_subnets="fd77::/64") as proxies, server.echo(port=8080):
        with client.connect(server.v6, 8080) as stream:
            assert exchange(stream, b"6") == b"6"
        assert carried(*proxies) == (0, 1)
        with client.connect(server.v4, 8080) as stream:
            assert exchange(stream, b"4") == b"4"
        assert carried(*proxies) == (1, 2)


@pytest.mark.parametrize("port", [4143, 4190, 4191])
def test_the_proxies_own_ports_are_untouched(client: Pod, server: Pod, port: int) -> None:
    for pod in (client, server):
        assert pod.init(rules()).returncode == 0
    with client.proxy() as ours, server.echo(port=port) as clients:
        for address in (server.v4, server.v6):
            with client.connect(address, port) as stream:
                assert exchange(stream, b"direct") == b"direct"
        assert clients == [client.v4, client.v6]
        assert ours.metric("tcp_connections_total", direction="outbound") == 0


def test_udp_and_icmp_are_untouched(client: Pod, server: Pod) -> None:
    with meshed(client, server) as proxies:
        for family, address in ((socket.AF_INET, server.v4), (socket.AF_INET6, server.v6)):
            receiver = server.inside(socket.socket, family, socket.SOCK_DGRAM)
            sender = client.inside(socket.socket, family, socket.SOCK_DGRAM)
            with receiver, sender:
                receiver.settimeout(5)
                receiver.bind((address, 5353))
                sender.sendto(b"datagram", (address, 5353))
                assert receiver.recvfrom(100)[0] == b"datagram"
            assert ping(client, family, address)
        assert carried(*proxies) == (0, 0)


def ping(pod: Pod, family: socket.AddressFamily, address: str) -> bool:
    """One ICMP echo, by hand: the kernel fills in checksums of ICMPv6, and of v4 we do."""
    v6 = family == socket.AF_INET6
    kind, reply = (128, 129) if v6 else (8, 0)
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    checksum = 0xFFFF - (kind << 8) - 7
    with pod.inside(socket.socket, family, socket.SOCK_RAW, protocol) as raw:
        raw.settimeout(5)
        raw.sendto(struct.pack("!BBHHH", kind, 0, checksum, 0, 7), (address, 0))
        while True:
            packet = raw.recv(200)
            body = packet if v6 else packet[20:]
            if body[0] == reply:
                return struct.unpack("!H", body[6:8]) == (7,)


def test_a_pod_that_speaks_to_itself_stays_with_itself(client: Pod, server: Pod) -> None:
    with meshed(client, server) as proxies, server.echo("127.0.0.1", "::1", server.v4, server.v6, port=8080):
        for address in ("127.0.0.1", "::1", server.v4, server.v6):
            with server.connect(address, 8080) as stream:
                assert exchange(stream, b"me") == b"me"
        assert carried(*proxies) == (0, 0)
        assert proxies[1].metric("tcp_connections_total", direction="outbound") == 0


def test_the_proxys_user_is_not_redirected(client: Pod, server: Pod) -> None:
    with meshed(client, server) as (ours, _), server.echo(port=8080):
        code = f"import socket; s = socket.create_connection(({server.v4!r}, 8080)); s.send(b'x'); print(s.recv(1))"
        as_proxy = ("setpriv", "--reuid=2102", "--regid=2102", "--clear-groups", "python3", "-c", code)
        assert client.execute(*as_proxy).stdout == "b'x'\n"
        assert ours.metric("tcp_connections_total", direction="outbound") == 0


def test_a_loop_ends_at_once_and_is_told(client: Pod, server: Pod) -> None:
    """Rules for another user than the proxy's: its own connections come back to it."""
    text = {name: value.replace("--uid-owner 2102", "--uid-owner 2103") for name, value in rules().items()}
    assert client.init(text).returncode == 0
    with client.proxy() as ours, server.echo(port=8080):
        for address in (server.v4, server.v6):
            assert_reset(client, address, 8080)
        assert ours.metric("tcp_refused_total", direction="outbound", reason="loop") == 2
        assert ours.metric("tcp_connections_total", direction="outbound") == 2, "one round each, no more"


def test_connections_to_the_proxys_ports_are_refused(client: Pod, server: Pod) -> None:
    with meshed(client, server) as (ours, theirs):
        for address in (server.v4, server.v6):  # where other proxies speak, and nobody else
            with client.connect(address, 4143) as stream:
                assert b"HTTP" not in exchange(stream, b"GET / HTTP/1.1\r\n\r\n")
        theirs.wait_metric(2, "tcp_refused_total", direction="inbound", reason="handshake")
        assert theirs.metric("tls_handshake_failures_total", direction="inbound", reason="broken") == 2
        for address in ("127.0.0.1", "::1"):
            assert_reset(client, address, 4140)
        assert ours.metric("tcp_refused_total", direction="outbound", reason="direct") == 2
        for address in (server.v4, server.v6):  # redirected to 4143, for 4140 is no port that others may speak to
            assert_reset(client, address, 4140)
        assert theirs.metric("tcp_refused_total", direction="inbound", reason="own_port") == 2


def assert_reset(pod: Pod, address: str, port: int) -> None:
    with pytest.raises(ConnectionResetError), pod.connect(address, port) as stream:
        stream.recv(1)


def test_only_this_pods_addresses_are_carried(client: Pod, server: Pod) -> None:
    """A neighbour that routes a foreign address through the pod finds no router."""
    client.execute("ip", "route", "add", "10.99.0.1/32", "via", server.v4)
    with meshed(client, server) as (_, theirs):
        assert_reset(client, "10.99.0.1", 8080)
        assert theirs.metric("tcp_refused_total", direction="inbound", reason="not_this_pod") == 1


def test_a_dead_application_resets_the_client(client: Pod, server: Pod) -> None:
    with meshed(client, server) as (_, theirs):
        assert_reset(client, server.v4, 8080)
        assert theirs.metric("tcp_connect_failures_total", direction="inbound", reason="refused") == 1


def test_several_workers_share_the_ports(client: Pod, server: Pod) -> None:
    assert server.init(rules()).returncode == 0
    with server.proxy(INJECTOR_WORKERS="4") as proxy, server.echo(port=8080):
        for _ in range(32):
            with client.connect(server.v4, 8080) as stream:
                assert exchange(stream, b"hello") == b"hello"
        assert proxy.metric("tcp_connections_total", direction="inbound") == 32


def test_opaque_ports_are_labelled(client: Pod, server: Pod) -> None:
    assert server.init(rules()).returncode == 0
    with server.proxy(INJECTOR_OPAQUE_PORTS="8000-9000") as proxy, server.echo(port=8080):
        with client.connect(server.v4, 8080) as stream:
            assert exchange(stream, b"hello") == b"hello"
        assert proxy.metric("tcp_connections_total", direction="inbound", opaque="declared") == 1


def test_a_pod_without_v6_is_carried_by_v4(client: Pod, server: Pod) -> None:
    for pod in (client, server):
        pod.execute("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    with meshed(client, server) as proxies, server.echo(server.v4, port=8080):
        with client.connect(server.v4, 8080) as stream:
            assert exchange(stream, b"hello") == b"hello"
        assert carried(*proxies) == (1, 1)


def test_open_connections_may_finish(client: Pod, server: Pod) -> None:
    """SIGTERM: nothing new is accepted, what is open goes on, and the end comes with the last connection."""
    assert server.init(rules()).returncode == 0
    with server.proxy(INJECTOR_SHUTDOWN_GRACE_SECONDS="20") as proxy, server.echo(port=8080):
        with client.connect(server.v4, 8080) as stream:
            stream.sendall(b"before")
            assert stream.recv(100) == b"before"
            proxy.signal(signal.SIGTERM)
            proxy.wait_draining()
            assert proxy.get("/live") == "live\n"
            wait_refused(client, server.v4, 8080)
            stream.sendall(b"after")
            assert stream.recv(100) == b"after"
            with pytest.raises(subprocess.TimeoutExpired):
                proxy.process.wait(timeout=0.3)
        assert proxy.process.wait(timeout=2) == 0


def wait_refused(pod: Pod, address: str, port: int) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            pod.connect(address, port).close()
        except ConnectionRefusedError:
            return
    raise AssertionError("still accepting")


def test_the_grace_ends(client: Pod, server: Pod) -> None:
    assert server.init(rules()).returncode == 0
    with server.proxy() as proxy, server.echo(port=8080), client.connect(server.v4, 8080) as stream:
        stream.sendall(b"x")
        assert stream.recv(1) == b"x"
        proxy.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            proxy.process.wait(timeout=0.5)
        assert proxy.process.wait(timeout=2) == 0
        assert stream.recv(1) == b"", "the connection was closed with the proxy"
