"""Identity processes that tests share the making of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.identity.house import House, begin
from tests.identity.world import user
from tests.kube.fake import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def begun(tmp_path: Path) -> AsyncIterator[House]:
    """A process that has just started in a cluster where nothing of the mesh is yet."""
    async with begin(tmp_path) as house:
        yield house


@pytest.fixture
async def house(begun: House) -> House:
    """The same, once it can sign."""
    begun.controller.publish()
    await until(lambda: begun.controller.asked, seconds=10)
    begun.controller.sign()
    await begun.wait_ready()
    begun.reviews.users["good"] = user("system:serviceaccount:shop:web")
    return begun
