"""The serving certificate: loaded in memory, swapped by watch, and known for what it is worth now."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from injector.pki import Pair, issue, make_authority
from injector.webhook.certificate import KeyPair, ServingCertificate, load, project
from tests.kube.fake import FakeApi, encoded, serving, until
from tests.webhook.conftest import NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = "/api/v1/namespaces/injector-system/secrets/injector-webhook-tls"
NOW = datetime.now(UTC)


def secret(pair: Pair) -> dict[str, Any]:
    return {"data": encoded(tls_crt=pair.certificate.pem, tls_key=pair.key)}


def made(lifetime: timedelta = timedelta(days=1), at: datetime = NOW) -> Pair:
    return issue(make_authority(at, timedelta(days=90)), [NAME], at, lifetime)


def descriptors() -> set[str]:
    return {str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def certificate(api: FakeApi, clock: Clock, tmp_path: Path) -> AsyncIterator[ServingCertificate]:
    async with serving(api, tmp_path) as kube:
        followed = ServingCertificate(kube, "injector-system", "injector-webhook-tls", clock)
        task = asyncio.create_task(followed.informer.run())
        await followed.informer.wait_synced()
        await until(lambda: api.watches)
        yield followed
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_before_there_is_one_nobody_is_served(certificate: ServingCertificate) -> None:
    assert certificate.context() is None
    assert "injector-controller makes it" in (certificate.fault() or "")
    assert certificate.expiry == 0


async def test_it_is_swapped_by_watch_and_kept_when_the_secret_goes_or_breaks(
    certificate: ServingCertificate, api: FakeApi
) -> None:
    api.put(SECRET, secret(made()))
    await until(lambda: certificate.context() is not None)
    assert certificate.fault() is None
    first, second = certificate.context(), made(timedelta(days=2))
    api.put(SECRET, secret(second))
    await until(lambda: certificate.context() is not first)
    assert certificate.expiry == second.certificate.not_after.timestamp()
    current = certificate.context()
    api.put(SECRET, {"data": encoded(tls_crt=b"nonsense", tls_key=b"nonsense")})
    api.remove(SECRET)
    await until(lambda: not certificate.informer.items)
    assert certificate.context() is current


async def test_it_is_not_ready_once_it_has_expired(certificate: ServingCertificate, api: FakeApi, clock: Clock) -> None:
    pair = made(timedelta(hours=2))
    api.put(SECRET, secret(pair))
    await until(lambda: certificate.context() is not None)
    clock.now = pair.certificate.not_after - timedelta(seconds=1)
    assert certificate.fault() is None
    clock.now = pair.certificate.not_after
    assert "not valid now" in (certificate.fault() or "")
    clock.now = pair.certificate.not_before - timedelta(seconds=1)
    assert "not valid now" in (certificate.fault() or "")


def test_a_key_of_another_certificate_is_not_usable() -> None:
    with pytest.raises(ValueError, match="do not go together"):
        load(KeyPair(made().certificate.pem, made().key))


def test_the_key_is_on_no_disk_and_in_no_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair = made()
    before = descriptors()
    loaded = load(KeyPair(pair.certificate.pem, pair.key))
    assert not list(tmp_path.iterdir())
    assert descriptors() <= before, "the memory file is closed again"
    assert "PRIVATE" not in repr(KeyPair(pair.certificate.pem, pair.key)) + repr(pair)
    assert loaded.context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("data", [{}, {"tls.crt": "YQ=="}, {"tls.crt": "%%%", "tls.key": "YQ=="}, None])
def test_a_secret_without_both_is_none(data: dict[str, str] | None) -> None:
    assert project({"data": data}) is None
