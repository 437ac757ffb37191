"""Asking the controller for a rotation, and watching it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from injector.cli import identity
from injector.cli.documents.write import to_json
from injector.cli.identity import IdentityState, rotation_lines
from injector.cli.outcome import CommandError
from injector.cli.terminal import show
from injector.inject.names import SYSTEM_NAMESPACE
from injector.kube.resources import CONFIG_MAPS

if TYPE_CHECKING:
    from injector.kube.client import KubeClient

LOOK_SECONDS: Final = 1.0
"""The controller asks the proxies every 3 s; looking more often costs one read of a small object."""

TAKEN_UP_SECONDS: Final = 45.0
"""A controller that has just lost its Lease is followed by another within 15 s, which then has to read everything."""


async def ask(kube: "KubeClient", request: str, kind: str, *, force: bool) -> None:
    """Lay the request before the controller."""
    text = to_json({"id": request, "kind": kind, "force": force})
    body = {"metadata": {"name": identity.COMMAND}, "data": {identity.COMMAND_KEY: text}}
    await kube.apply(CONFIG_MAPS, body, field_manager="injector", namespace=SYSTEM_NAMESPACE)


async def follow(state: Callable[[], Awaitable[IdentityState]], request: str, within: timedelta | None = None) -> None:
    """Tell of each phase, and of who holds it up, until the rotation is done."""
    try:
        async with asyncio.timeout(within.total_seconds() if within is not None else None):
            await _until_done(state, request)
    except TimeoutError:
        raise CommandError(
            f"not done after {within}; it goes on by itself: injector identity roots shows how far it is"
        ) from None


async def _until_done(state: Callable[[], Awaitable[IdentityState]], request: str) -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    give_up = loop.time() + TAKEN_UP_SECONDS
    while True:
        rotation = (await state()).rotation
        if rotation is not None and rotation.id == request:
            lines = list(rotation_lines(rotation))
            if lines != told:
                told = lines
                for line in lines:
                    show(line)
            if rotation.done:
                return
        elif loop.time() > give_up and not told and (rotation is None or rotation.done):
            raise CommandError(
                "the controller has not taken it up; it will when it runs: "
                "kubectl get pods -n injector-system; injector identity roots"
            )
        await asyncio.sleep(LOOK_SECONDS)
