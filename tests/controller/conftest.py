"""A fake API server and a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kube.fake import FakeApi, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from injector.kube.client import KubeClient


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def kube(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubeClient]:
    async with serving(api, tmp_path) as client:
        yield client
