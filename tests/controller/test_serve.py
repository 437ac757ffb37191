"""The whole controller process against a fake API server: elected, at work, asked to stop, gone at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from injector.controller.config import ControllerConfig
from injector.controller.serve import read_policy, serve
from injector.runtime.errors import StartupError
from tests.kube.fake import FakeApi, serving, until

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = "/api/v1/namespaces/injector-system"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/injector-system/leases/injector-controller"


@pytest.fixture
def config(tmp_path: Path) -> ControllerConfig:
    installation = tmp_path / "installation.yaml"
    installation.write_text("proxyImage: registry.example/proxy:1\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return ControllerConfig(
        installation=installation,
        host="127.0.0.1",
        admin_port=port,
        kubeconfig=tmp_path / "kubeconfig",
        identity="me",
    )


async def test_it_is_elected_works_and_gives_the_lease_up(config: ControllerConfig, tmp_path: Path) -> None:
    api = FakeApi()
    api.put(SYSTEM, {})
    async with serving(api, tmp_path):
        task = asyncio.create_task(serve(config))
        await until(lambda: f"{SYSTEM}/secrets/injector-webhook-tls" in api.objects, seconds=10)
        assert api.objects[LEASE]["spec"]["holderIdentity"] == "me"
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 5)
        assert api.objects[LEASE]["spec"]["holderIdentity"] == ""


def test_lifetimes_that_do_not_fit_together_are_told_all_at_once(config: ControllerConfig) -> None:
    with pytest.raises(StartupError) as error:
        read_policy(replace(config, ca_lifetime=timedelta(minutes=20), certificate_lifetime=timedelta(minutes=9)))
    assert len(error.value.faults) == 2


def test_the_defaults_fit_together(config: ControllerConfig) -> None:
    assert "injector-webhook.injector-system.svc" in read_policy(config).names
