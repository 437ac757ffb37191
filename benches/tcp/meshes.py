"""Two pods' network namespaces, unmeshed, with our proxies, or with HAProxy in their place under the same rules."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benches.namespaces import Pod, entered, pod_pair
from benches.processes import OUTPUT, ROOT, Child, output_of, running, succeeds
from benches.progress import BenchError
from injector.inject.names import ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_UID
from injector.inject.redirect import Family, rules
from injector.inject.settings import resolve
from tests.netns.volumes import NAMESPACE, Volumes, endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from injector.api.mesh_pb2 import Endpoint

UNMESHED, INJECTOR, HAPROXY = "unmeshed", "injector", "haproxy"
PORTS = range(5201, 5210)
"""Where servers of the measurements listen."""
_START_SECONDS = 10.0
_FILES = 16384
"""Descriptors a proxy may open: eight for each of 1,000 connections and 1,000 more; containerd grants a million."""

# One thread, as our proxy's default of one worker; the original destination is SO_ORIGINAL_DST's, as ours.
_HAPROXY_CONFIGURATION = f"""\
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen outbound
    bind 127.0.0.1:{OUTBOUND_PORT}
    server original-destination *
listen inbound
    bind :{INBOUND_PORT}
    server original-destination *
"""


@dataclass(frozen=True, slots=True)
class Link:
    """A client's and a server's pod, and the proxies between, if there are any: the client's, then the server's."""

    name: str
    client: Pod
    server: Pod
    proxies: list[Child] = field(default_factory=list)


@contextlib.contextmanager
def unmeshed(network: int) -> Iterator[Link]:
    """Nothing between."""
    with pod_pair("bench-unmeshed", network) as (client, server):
        yield Link(UNMESHED, client, server)


@contextlib.contextmanager
def injector(network: int) -> Iterator[Link]:
    """Our proxy in both pods, as it is there, but for plain bytes: each believes that the other has none."""
    with contextlib.ExitStack() as stack:
        client, server = stack.enter_context(pod_pair("bench-injector", network))
        link = Link(INJECTOR, client, server)
        known = {(server.address, port): [endpoint(server.address, port, None)] for port in PORTS}
        for pod in (client, server):
            link.proxies.append(stack.enter_context(sidecar(INJECTOR, pod, known)))
        yield link


@contextlib.contextmanager
def sidecar(
    name: str, pod: Pod, known: Mapping[tuple[str, int], Iterable[Endpoint]], files: int = _FILES
) -> Iterator[Child]:
    """Our proxy in a pod: `init` as root applies the webhook's rules, `run` as the proxy's user with defaults.

    It has an identity from a former life, and remembers who is behind these destinations.
    """
    binary, volumes = proxy_binary(), Volumes(PROXY_UID)
    try:
        volumes.know(known)
        told = _told(pod) | volumes.environment
        with entered(pod.namespace):
            environment = {"INJECTOR_IPTABLES_RULES": _rules("v4"), "INJECTOR_IP6TABLES_RULES": _rules("v6")}
            output_of([binary, "init"], env=environment)
            with running(f"{name} {pod.namespace}", [*as_proxy_user(files), binary, "run"], env=told) as proxy:
                # The kubelet's question, and its answer.
                ready = f"http://{pod.address}:{ADMIN_PORT}/ready"
                proxy.wait_until(partial(succeeds, ["curl", "-sf", "-o", "/dev/null", ready]), _START_SECONDS)
                yield proxy
    finally:
        volumes.remove()


@contextlib.contextmanager
def haproxy(network: int) -> Iterator[Link]:
    """Debian's HAProxy in both pods, mode tcp, plaintext, one thread, behind the same rules."""
    OUTPUT.mkdir(exist_ok=True)
    configuration = OUTPUT / "haproxy.cfg"
    configuration.write_text(_HAPROXY_CONFIGURATION)
    with contextlib.ExitStack() as stack:
        client, server = stack.enter_context(pod_pair("bench-haproxy", network))
        link = Link(HAPROXY, client, server)
        for pod in (client, server):
            with entered(pod.namespace):
                output_of(["iptables-restore", "--noflush"], given=_rules("v4"))
                command = [*as_proxy_user(), "haproxy", "-db", "-f", str(configuration)]
                proxy = stack.enter_context(running(f"{HAPROXY} {pod.namespace}", command))
                proxy.wait_until(partial(listening, INBOUND_PORT), _START_SECONDS)
            link.proxies.append(proxy)
        yield link


KINDS: dict[str, Callable[[int], contextlib.AbstractContextManager[Link]]] = {
    UNMESHED: unmeshed,
    INJECTOR: injector,
    HAPROXY: haproxy,
}


@contextlib.contextmanager
def all_links(*names: str) -> Iterator[dict[str, Link]]:
    """Links of these kinds beside each other."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(KINDS[name](number)) for number, name in enumerate(names, start=1)}


def proxy_binary() -> Path:
    """The proxy as the image has it; scripts/bench builds it. $INJECTOR_PROXY_BINARY is another, for development."""
    if other := os.environ.get("INJECTOR_PROXY_BINARY"):
        if not Path(other).is_file():
            raise BenchError(f"expected the proxy at INJECTOR_PROXY_BINARY={other}, and there is nothing")
        return Path(other).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = target / f"{platform.machine()}-unknown-linux-gnu" / "release" / "injector-proxy"
    if not binary.exists():
        raise BenchError(f"expected the proxy's static release build at {binary}; scripts/bench makes it")
    return binary


def _rules(family: Family) -> str:
    return rules(resolve({}, {}, {}).settings, family, proxy_uid=PROXY_UID)


def as_proxy_user(files: int = _FILES) -> list[str]:
    """Words that start a command as the user whom the rules let pass, with so many descriptors."""
    uid = str(PROXY_UID)
    return ["prlimit", f"--nofile={files}", "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]


def _told(pod: Pod) -> dict[str, str]:
    """What the webhook tells a sidecar by default."""
    return {
        "INJECTOR_LOG_LEVEL": "info",
        "INJECTOR_LOG_FORMAT": "text",
        "INJECTOR_WORKERS": "1",
        "INJECTOR_SHUTDOWN_GRACE_SECONDS": "5",
        "INJECTOR_OPAQUE_PORTS": "",
        "INJECTOR_PROBES": "[]",
        "INJECTOR_POD_NAME": pod.namespace,
        "INJECTOR_POD_NAMESPACE": NAMESPACE,
        "INJECTOR_POD_UID": "00000000-0000-0000-0000-000000000000",
        "INJECTOR_NODE_NAME": "bench",
        "INJECTOR_SERVICE_ACCOUNT": "default",
        "INJECTOR_POD_IPS": pod.address,
        "INJECTOR_WORKLOAD_KIND": "Pod",
        "INJECTOR_WORKLOAD_NAME": pod.namespace,
    }


def listening(port: int) -> bool:
    """Whether something listens on the port in this network namespace.

    The kernel is asked. A connection would do harm: its original destination is HAProxy's own port, where HAProxy would
    go on connecting to itself.
    """
    return f":{port} " in output_of(["ss", "-Hltn", f"sport = {port}"])
