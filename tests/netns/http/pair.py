"""A client's pod and its servers', each with its sidecar, and the Service behind which the servers are."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.netns.http.wire import Stream
from tests.netns.pods import Pod, Proxy, rules, run
from tests.netns.volumes import endpoint

SERVICE: Final = "10.99.0.7"
"""A cluster IP: nobody's address."""

EMPTY: Final = 9000
"""A port of the Service that has no endpoint."""


@dataclass
class Pair:
    """What a test finds. Clients dial `SERVICE`, and the client's proxy chooses among the servers."""

    client: Pod
    servers: list[Pod]
    ours: Proxy = field(init=False)
    theirs: list[Proxy] = field(init=False)

    @property
    def server(self) -> Pod:
        return self.servers[0]

    def stream(self, port: int, address: str = SERVICE) -> Stream:
        return Stream(self.client.connect(address, port))

    def curl(self, *arguments: str | Path) -> str:
        """What curl says in the client's pod; an HTTP status is no failure."""
        return self.client.execute("curl", "-sS", "--noproxy", "*", "--max-time", "50", *map(str, arguments)).stdout

    def assert_encrypted(self) -> None:
        """Nothing of it went past mutual TLS."""
        assert self.ours.metric("tls_handshakes_total", direction="outbound") > 0
        assert self.ours.metric("tcp_plaintext_total", direction="outbound") == 0
        assert all(one.metric("tcp_plaintext_total", direction="inbound") == 0 for one in self.theirs)

    def know(self, ports: Iterable[int]) -> None:
        """What discovery would have told the client's proxy: of the Service, and of each pod as such."""
        each = {(server.v4, port): [endpoint(server.v4, port)] for server in self.servers for port in ports}
        service = {(SERVICE, port): [endpoint(server.v4, port) for server in self.servers] for port in ports}
        self.client.volumes.know({**each, **service, (SERVICE, EMPTY): []})

    @contextmanager
    def proxies(self, **environment: str) -> Iterator["Pair"]:
        """The sidecars, for as long as the block lasts."""
        with ExitStack() as stack:
            self.theirs = [stack.enter_context(server.proxy(**environment)) for server in self.servers]
            self.ours = stack.enter_context(self.client.proxy(**environment))
            yield self


@contextmanager
def cabled(binary: Path, name: str, servers: int = 1, *, joined: bool = True) -> Iterator[Pair]:
    """The pods, with a cable from the client's to each server's unless they are joined otherwise; nothing is redirected
    yet."""
    with ExitStack() as stack:
        pods = []
        for number in range(servers + 1):
            pod = Pod(f"injector-{os.getpid()}-{name}-{number}", binary, f"10.77.0.{number + 1}", f"fd77::{number + 1}")
            stack.callback(pod.remove)
            pods.append(pod)
        client, *rest = pods
        if joined:
            for number, server in enumerate(rest):
                _cable(client, server, f"eth{number}")
            client.execute("ip", "route", "add", f"{SERVICE}/32", "via", rest[0].v4)
        yield Pair(client, rest)


def redirect(pods: Sequence[Pod]) -> None:
    """What the init container does."""
    for pod in pods:
        done = pod.init(rules())
        assert done.returncode == 0, done.stderr


@contextmanager
def meshed(binary: Path, name: str, ports: Iterable[int], servers: int = 1) -> Iterator[Pair]:
    """All of it."""
    with cabled(binary, name, servers) as pair:
        pair.know(ports)
        redirect([pair.client, *pair.servers])
        with pair.proxies():
            yield pair


def _cable(client: Pod, server: Pod, device: str) -> None:
    run("ip", "-n", client.name, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", server.name)
    for pod, name, other in ((client, device, server), (server, "eth0", client)):
        address(pod, name, other)


def address(pod: Pod, device: str, other: Pod) -> None:
    """Gives the device the pod's addresses, and the way to the other pod."""
    pod.execute("ip", "address", "replace", f"{pod.v4}/32", "dev", device)
    pod.execute("ip", "-6", "address", "replace", f"{pod.v6}/128", "dev", device, "nodad")
    pod.execute("ip", "link", "set", device, "up")
    pod.execute("ip", "route", "add", f"{other.v4}/32", "dev", device, "src", pod.v4)
    pod.execute("ip", "-6", "route", "add", f"{other.v6}/128", "dev", device, "src", pod.v6)
