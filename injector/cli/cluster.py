"""The one way from a command to a cluster: a session, and how its failures end the command."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from injector.cli.outcome import CommandError, ExitCode
from injector.kube.errors import KubeError, NotFound

if TYPE_CHECKING:
    from injector.kube.client import KubeClient

Result = TypeVar("Result")


def in_cluster(
    kubeconfig: Path | None, context: str | None, work: Callable[["KubeClient"], Awaitable[Result]]
) -> Result:
    """Runs `work` with a client for the named cluster; what the cluster refuses or does not answer ends the command."""
    from injector.kube.client import connect

    async def session() -> Result:
        async with connect(kubeconfig=kubeconfig, context=context) as kube:
            return await work(kube)

    try:
        return asyncio.run(session())
    except KubeError as error:
        # What is not there was answered well enough; everything else is the cluster's failure.
        code = ExitCode.FAILED if isinstance(error, NotFound) else ExitCode.CLUSTER
        raise CommandError(str(error), code=code) from error
