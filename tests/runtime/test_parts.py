"""Settings files, logs, the admin port and the lifecycle."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from prometheus_client import Counter

from injector.runtime import admin, logs
from injector.runtime.errors import StartupError
from injector.runtime.lifecycle import Lifecycle, raise_descriptor_limit
from injector.runtime.metrics import new_registry
from injector.runtime.settings import read_installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_an_installation_is_read(tmp_path: Path) -> None:
    file = tmp_path / "installation.yaml"
    file.write_text("proxyImage: registry.example/proxy:1\nproxyUid: 2200\n")
    assert read_installation(file).proxy_uid == 2200


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("a: [", "expected YAML"),
        ("- 1", "expected a mapping"),
        ("proxyImage: x\nnonsense: 1", "installation.nonsense: unknown setting"),
    ],
)
def test_an_installation_that_cannot_be_used_is_told_with_its_path(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "installation.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(StartupError, match=says) as error:
        read_installation(file)
    assert str(file) in str(error.value)


@pytest.mark.usefixtures("_structlog_as_it_was")
def test_logs_are_one_json_line_each(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure("info", "json")
    log = structlog.get_logger("test")
    log.debug("not this")
    log.info("reviewed", name="web", reason="")
    (line,) = capfdbinary.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["name"]) == ("reviewed", "info", "web")
    assert entry["timestamp"].endswith("Z")


@pytest.mark.usefixtures("_structlog_as_it_was")
def test_unknown_log_settings_are_told_at_once() -> None:
    with pytest.raises(StartupError) as error:
        logs.configure("loud", "xml")
    assert error.value.faults == (
        "log level: expected debug, info, warn, error, got 'loud'",
        "log format: expected json, text, got 'xml'",
    )


async def test_the_admin_port_says_why_it_is_not_ready() -> None:
    registry = new_registry()
    counter = Counter("seen", "Seen.", registry=registry)
    reasons = ["the watch of Namespace has not been read yet"]
    app = admin.build(registry, lambda: reasons, refresh=counter.inc)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "the watch of Namespace has not been read yet\n")
        reasons.clear()
        assert (await client.get("/readyz")).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert "seen_total 1.0" in metrics
        assert "process_resident_memory_bytes" in metrics
        assert "_created" not in metrics
        assert (await client.get("/anything")).status_code == 404


async def test_a_signal_ends_the_wait_and_the_background() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Lifecycle() as life:
        life.background(work())
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(life.until_stopped(), 2)
    assert ended.is_set()


async def test_a_background_task_that_fails_ends_the_process() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async with Lifecycle() as life:
        life.background(fail())
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(life.until_stopped(), 2)


def test_all_file_descriptors_that_may_be_used_are() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
