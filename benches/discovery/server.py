"""Discovery's process with a certificate from files instead of from the issuer; all else as shipped."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvloop

from injector.api import mesh_pb2 as pb
from injector.discovery.config import DiscoveryConfig
from injector.discovery.serve import Discovery
from injector.kube.client import connect
from injector.runtime import logs
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.listener import bind
from injector.runtime.renewed import Material


class FromFiles:
    """A certificate that is simply there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fault(self) -> None:
        """None: there is one."""

    def trust(self) -> pb.Trust:
        """Nobody asks for more than that it has not expired."""
        return pb.Trust(not_after=2**40)

    def wish(self, issuer: bytes) -> None:
        """There is no other."""

    async def material(self, other_than: Material | None) -> Material:
        """Always the same."""
        if other_than is not None:
            await asyncio.Event().wait()
        key, chain, roots = (
            self._directory.joinpath(name).read_bytes() for name in ("key.pem", "chain.pem", "roots.pem")
        )
        return Material(key, chain, roots)


async def serve(config: DiscoveryConfig, certificates: Path) -> None:
    """Until a signal."""
    logs.configure(config.log_level, config.log_format)
    raise_descriptor_limit()
    admin_socket = bind(config.host, config.admin_port)
    async with connect(kubeconfig=config.kubeconfig) as kube, Lifecycle() as life:
        discovery = Discovery(kube, config, "cluster.local", FromFiles(certificates), admin_socket)
        discovery.start(life)
        await life.until_stopped()
        await discovery.drain()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--certificates", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--admin-port", type=int, required=True)
    told = parser.parse_args()
    config = DiscoveryConfig(
        installation=Path("unused"),
        host="127.0.0.1",
        port=told.port,
        admin_port=told.admin_port,
        kubeconfig=told.kubeconfig,
        drain_delay_seconds=0,
        drain_seconds=0,
    )
    uvloop.run(serve(config, told.certificates))


if __name__ == "__main__":
    main()
