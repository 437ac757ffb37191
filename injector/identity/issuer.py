"""The issuer that signs now, as every replica sees it: Secret and roots, watched, and read again each minute."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from injector.identity import objects
from injector.identity.objects import ISSUER_SECRET, PUBLIC_CONFIG_MAP, Kept, Public
from injector.kube.errors import KubeError
from injector.kube.informer import Informer, Selection
from injector.kube.resources import CONFIG_MAPS, SECRETS
from injector.pki import faults_of_issuer

if TYPE_CHECKING:
    from collections.abc import Callable

    from injector.kube.client import KubeClient, Object
    from injector.kube.resources import Resource
    from injector.pki import Signer

READ_AGAIN_SECONDS: Final = 60.0
"""However quiet the watch: an issuer that was put there by hand, or by cert-manager, is used within a minute."""

VERDICT_SECONDS: Final = 1.0
"""How long what was found of the issuer's signatures is remembered, unless something is heard: checking them again for
each of a hundred calls a second would cost more than signing. By that long an issuer may outlive itself."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Issuer:
    """Keeps `signer`, or says by `faults` why there is none. `on_change` is called when anything was heard."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        on_change: Callable[[], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._on_change = on_change
        self._now = now
        self._secret: Informer[Kept] = Informer(
            kube,
            Selection.one(SECRETS, name=ISSUER_SECRET, namespace=namespace),
            objects.read_kept,
            self._heard,
        )
        self._config_map: Informer[Public] = Informer(
            kube,
            Selection.one(CONFIG_MAPS, name=PUBLIC_CONFIG_MAP, namespace=namespace),
            objects.read_public,
            self._heard,
        )
        self._said: list[str] = []
        self._verdict: tuple[list[str], datetime] | None = None

    @property
    def kept(self) -> Kept:
        """The Secret as it is now."""
        return self._secret.items.get((self._namespace, ISSUER_SECRET), Kept())

    @property
    def public(self) -> Public:
        """What the controller says now."""
        return self._config_map.items.get((self._namespace, PUBLIC_CONFIG_MAP), Public())

    async def wait_synced(self) -> None:
        """Return once both were read."""
        await self._secret.wait_synced()
        await self._config_map.wait_synced()

    def faults(self) -> list[str]:
        """Why nothing can be signed now, a sentence each; none where all is well."""
        if not (self._secret.synced and self._config_map.synced):
            return ["the issuer has not been read yet"]
        kept, public = self.kept, self.public
        if not public.roots:
            return [f"waiting for the roots: the controller has not written ConfigMap {PUBLIC_CONFIG_MAP} yet"]
        if not kept.chain:
            return [f"waiting for the issuer's certificate: Secret {ISSUER_SECRET} has none yet"]
        return list(self._judged(kept, public))

    def _judged(self, kept: Kept, public: Public) -> list[str]:
        now = self._now()
        if self._verdict is None or now >= self._verdict[1]:
            found = faults_of_issuer(kept.chain, kept.key, public.roots, now)
            faults = [f"Secret {ISSUER_SECRET}: {fault}" for fault in found]
            self._verdict = faults, now + timedelta(seconds=VERDICT_SECONDS)
        return self._verdict[0]

    @property
    def signer(self) -> Signer | None:
        """Who signs now; None where `faults` says why."""
        return None if self.faults() else self.kept.signer

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secret.run())
            group.create_task(self._config_map.run())
            await self.wait_synced()
            while True:
                await asyncio.sleep(READ_AGAIN_SECONDS)
                await self._read_again()

    async def _read_again(self) -> None:
        try:
            await self._read_one(SECRETS, ISSUER_SECRET, self._secret, objects.read_kept)
            await self._read_one(CONFIG_MAPS, PUBLIC_CONFIG_MAP, self._config_map, objects.read_public)
        except KubeError as error:
            log.warning("the issuer could not be read again", error=str(error))
        self._heard()  # time has gone by, too: what was valid may have expired

    async def _read_one(self, kind: Resource, name: str, informer: Informer[T], project: Callable[[Object], T]) -> None:
        async for found in self._kube.list(kind, namespace=self._namespace, field_selector=f"metadata.name={name}"):
            informer.put((self._namespace, name), project(found))

    def _heard(self, *_: object) -> None:
        self._verdict = None
        faults = self.faults()
        if self._secret.synced and self._config_map.synced and faults != self._said:
            self._said = faults
            for fault in faults:
                log.warning("no certificate can be signed", fault=fault)
            if not faults:
                log.info("ready to sign", issuer=self.kept.signer.certificate.id if self.kept.signer else "")
        self._on_change()
