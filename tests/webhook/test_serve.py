"""The whole webhook process against a fake API server: from not ready to serving to drained."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import pytest

from injector.pki import issue, make_authority
from injector.runtime.errors import StartupError
from injector.webhook.config import WebhookConfig
from injector.webhook.serve import serve
from tests.kube.fake import FakeApi, encoded, serving, until
from tests.webhook.conftest import NAME, Client
from tests.webhook.pods import pod, review

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "/api/v1/namespaces/injector-system/secrets/injector-webhook-tls"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def fetch(port: int, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def ready(port: int) -> bool:
    for _ in range(200):
        if (await fetch(port, "/readyz"))[0] == 200:
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.fixture
def config(tmp_path: Path) -> WebhookConfig:
    installation = tmp_path / "installation.yaml"
    installation.write_text("proxyImage: registry.example/proxy:1\n")
    return WebhookConfig(
        installation=installation,
        host="127.0.0.1",
        port=free_port(),
        admin_port=free_port(),
        kubeconfig=tmp_path / "kubeconfig",
        drain_delay_seconds=0.5,
    )


async def test_from_not_ready_to_serving_to_drained(config: WebhookConfig, tmp_path: Path) -> None:
    api = FakeApi()
    api.put("/api/v1/namespaces/shop", {})
    authority = make_authority(datetime.now(UTC), timedelta(days=9))
    pair = issue(authority, [NAME], datetime.now(UTC), timedelta(days=1))
    async with serving(api, tmp_path):
        task = asyncio.create_task(serve(config))
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    code, text = await fetch(config.admin_port, "/readyz")
                    if "not been read" not in text:
                        break
                await asyncio.sleep(0.05)
        assert (code, text) == (
            503,
            "Secret injector-system/injector-webhook-tls holds no usable certificate; injector-controller makes it\n",
        )
        assert (await fetch(config.admin_port, "/livez")) == (200, "ok\n")
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", config.port, ssl=ssl.create_default_context())
        api.put(SECRET, {"data": encoded(tls_crt=pair.certificate.pem, tls_key=pair.key)})
        assert await ready(config.admin_port)
        trust = ssl.create_default_context(cadata=authority.certificate.pem.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", config.port, ssl=trust, server_hostname=NAME)
        client = Client(reader, writer)
        answer = await client.post("/mutate/pods", review(pod(), uid="one"))
        assert orjson.loads(answer.body)["response"]["patchType"] == "JSONPatch"
        metrics = (await fetch(config.admin_port, "/metrics"))[1]
        assert 'injector_webhook_reviews_total{entry="pods",reason="",result="injected"} 1.0' in metrics
        assert 'injector_webhook_cache_synced{kind="Namespace"} 1.0' in metrics
        assert "injector_webhook_connections 1.0" in metrics
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.1)
        code, text = await fetch(config.admin_port, "/readyz")
        assert (code, text) == (503, "this replica is shutting down\n")
        last = await client.post("/mutate/pods", review(pod()))
        assert (last.status, last.headers["connection"]) == (200, "close")
        await asyncio.wait_for(task, 5)
        writer.transport.abort()
    await until(lambda: not api.watches)


async def test_settings_that_cannot_work_are_told_all_at_once(config: WebhookConfig) -> None:
    config.installation.write_text("proxyImage: 7\nproxyUid: 0\n")
    with pytest.raises(StartupError) as error:
        await serve(config)
    assert len(error.value.faults) == 2
    assert all(fault.startswith(str(config.installation)) for fault in error.value.faults)


async def test_a_port_that_is_taken_is_told(config: WebhookConfig) -> None:
    with (
        socket.create_server(("127.0.0.1", config.port)),
        pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{config.port}"),
    ):
        await serve(config)
