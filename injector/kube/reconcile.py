"""The loop of whoever keeps objects as they should be: observe, take one step, wait for what the watches tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from injector.kube.errors import Conflict, KubeError
from injector.pace import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from injector.kube.client import KubeClient, Object
    from injector.kube.resources import Resource

# After a step the watch tells of its effect, usually within milliseconds; a plan must not run ahead of that for long.
AFTER_STEP_SECONDS = 1.0
RETRY_BASE_SECONDS = 0.5
RETRY_CAP_SECONDS = 15.0

log = structlog.get_logger(__name__)


async def reconcile(advance: Callable[[], Awaitable[float]], changed: asyncio.Event) -> None:
    """Until cancelled: `advance` takes one step if one is due, and returns how long to sleep (seconds) if `changed` is
    not set meanwhile. `after_step()` is what it returns after one."""
    backoff = Backoff(base=RETRY_BASE_SECONDS, cap=RETRY_CAP_SECONDS)
    while True:
        changed.clear()
        try:
            pause = await advance()
            backoff.reset()
        except Conflict as error:
            log.info("an object changed meanwhile; observing again", error=str(error))
            pause = after_step()
        except KubeError as error:
            log.warning("a step failed", error=str(error))
            pause = backoff.next_delay()
        try:
            async with asyncio.timeout(pause):
                await changed.wait()
        except TimeoutError:
            continue


def after_step() -> float:
    """How long to sleep after a step."""
    return AFTER_STEP_SECONDS


async def store(kube: KubeClient, resource: Resource, item: Object, namespace: str) -> None:
    """Write exactly over what was observed: `Conflict` if it has changed, or appeared, since."""
    if "resourceVersion" in item["metadata"]:
        await kube.replace(resource, item, namespace=namespace)
    else:
        await kube.create(resource, item, namespace=namespace)
