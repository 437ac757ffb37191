"""Two pods joined by a cable. These tests need root and the kernel's nat tables; without them they fail."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.pods import Pod, run

TOOLS = ("ip", "setpriv", "iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save")


@pytest.fixture(scope="session")
def binary() -> Path:
    """The proxy: $INJECTOR_PROXY_BINARY, or the one that is installed beside Python."""
    assert os.geteuid() == 0, "these tests make network namespaces and need root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    assert not missing, f"missing: {', '.join(missing)}; apt-get install iptables iproute2 util-linux"
    found = Path(os.environ.get("INJECTOR_PROXY_BINARY") or Path(sysconfig.get_path("scripts")) / "injector-proxy")
    assert found.is_file(), f"{found} is missing; scripts/test builds it, or set INJECTOR_PROXY_BINARY"
    return found


@pytest.fixture
def client(binary: Path) -> Iterator[Pod]:
    pod = Pod(f"injector-{os.getpid()}-client", binary, "10.77.0.1", "fd77::1")
    yield pod
    pod.remove()


@pytest.fixture
def server(binary: Path, client: Pod) -> Iterator[Pod]:
    """The second pod, with the cable to the first."""
    pod = Pod(f"injector-{os.getpid()}-server", binary, "10.77.0.2", "fd77::2")
    run("ip", "-n", client.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", pod.name)
    for one in (client, pod):
        one.execute("ip", "address", "add", f"{one.v4}/24", "dev", "eth0")
        one.execute("ip", "address", "add", f"{one.v6}/64", "dev", "eth0", "nodad")
        one.execute("ip", "link", "set", "eth0", "up")
    yield pod
    pod.remove()
