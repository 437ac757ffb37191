"""The keeper of the roots over HTTP: made, signed with, rotated, and never by guess."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from prometheus_client import CollectorRegistry

from injector.controller.census import Census, Member
from injector.controller.metrics import ControllerMetrics
from injector.controller.roots import keeper as keeper_module
from injector.controller.roots.acknowledgements import Heard, Trusts
from injector.controller.roots.keeper import Roots
from injector.controller.roots.plan import Policy
from injector.inject.model import Namespace
from injector.kube import reconcile as reconcile_module
from injector.pki import issuer_request, make_root, new_key, read_bundle, signed_by
from tests.kube.fake import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from injector.pki import Certificate
    from tests.kube.fake import FakeApi

SYSTEM = "/api/v1/namespaces/injector-system"
ROOT = f"{SYSTEM}/secrets/injector-identity-root"
PUBLISHED = f"{SYSTEM}/configmaps/injector-identity"
REQUEST = f"{SYSTEM}/secrets/injector-identity-request"
ROTATION = f"{SYSTEM}/configmaps/injector-identity-rotation"
GIVEN = f"{SYSTEM}/configmaps/injector-identity-given"
POLICY = Policy(timedelta(days=3650), timedelta(days=365), timedelta(0))


class World:
    """Namespaces that have what is published at once, an issuer that asks for what it is to ask for, and proxies that
    say what the test lets them say."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.heard = Heard()
        self.carried = ""
        self.told: list[str] = []
        self.wished = ""

    def publish(self, roots: str) -> None:
        self.carried = roots
        self.told.append(roots)

    def everywhere(self, roots: str) -> bool:
        return roots == self.carried

    def wish(self, issuer: str) -> None:
        self.wished = issuer

    async def hear(self) -> Heard:
        return self.heard

    def ask(self) -> None:
        """As the issuer's leader does."""
        self.put_request(issuer_request(new_key(), datetime.now(UTC)))

    def put_request(self, text: bytes) -> None:
        self.api.put(REQUEST, {"data": {"csr.pem": base64.b64encode(text).decode()}})

    def command(self, kind: str, name: str, *, force: bool = False) -> None:
        said = json.dumps({"id": name, "kind": kind, "force": force})
        self.api.put(ROTATION, {"data": {"request.json": said}})

    def says(self, **trusts: Trusts) -> None:
        self.heard = Heard({("shop", uid): said for uid, said in trusts.items()})

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data.get("state.json", "{}"))
        return found

    @property
    def data(self) -> dict[str, str]:
        found: dict[str, str] = self.api.objects.get(PUBLISHED, {}).get("data", {})
        return found

    @property
    def roots(self) -> list[str]:
        return [root.id for root in read_bundle(self.data.get("roots.pem", "").encode())]

    @property
    def issuer(self) -> Certificate | None:
        found = read_bundle(self.data.get("issuer.crt", "").encode())
        return found[0] if found else None

    @property
    def rotation(self) -> dict[str, Any]:
        return self.state.get("rotation") or {}


@pytest.fixture
def world(api: FakeApi) -> World:
    return World(api)


@pytest.fixture
def census() -> Census:
    made = Census()
    made.synced.set()
    made.put_namespace("shop", Namespace("shop"))
    return made


@pytest.fixture
def metrics() -> ControllerMetrics:
    return ControllerMetrics(CollectorRegistry())


@pytest.fixture
async def start(
    kube: KubeClient, world: World, census: Census, metrics: ControllerMetrics, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    monkeypatch.setattr(keeper_module, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(reconcile_module, "AFTER_STEP_SECONDS", 0.02)
    tasks = []

    def run(*, given: bool = False, policy: Policy = POLICY) -> asyncio.Task[None]:
        roots = Roots(kube, "injector-system", policy, world, world, census, metrics, given=given)
        tasks.append(asyncio.create_task(roots.run()))
        return tasks[-1]

    yield run
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def made(start: Any, world: World) -> World:
    """First start: a root, and an issuer under it."""
    start()
    await until(lambda: world.state.get("currentRoot"))
    world.ask()
    await until(lambda: world.issuer)
    return world


async def test_the_first_start_makes_a_root_and_signs_the_issuer(made: World, api: FakeApi) -> None:
    assert set(api.objects[ROOT]["data"]) == {"root.crt", "root.key"}
    assert made.state["mode"] == "made"
    assert made.roots == [made.state["currentRoot"]]
    (root,) = read_bundle(made.data["roots.pem"].encode())
    assert made.issuer is not None
    assert signed_by(made.issuer, root)
    assert made.state["rotation"] is None
    assert "PRIVATE KEY" not in json.dumps(api.objects[PUBLISHED])
    await until(lambda: made.issuer is not None and made.wished == made.issuer.id)


async def test_a_root_is_rotated_when_all_have_said_so(made: World, census: Census) -> None:
    old, issuer = made.state["currentRoot"], made.issuer
    assert issuer is not None
    census.put_pod(("shop", "web"), Member("u1", running=True))
    made.says(u1=Trusts(frozenset({old}), issuer.id))
    made.command("root", "one")
    await until(lambda: made.rotation.get("phase") == "roots" and made.rotation["behind"] == 1)
    assert made.state["currentRoot"] == old, "signs until everybody accepts the next"
    assert made.rotation["laggards"] == [{"pod": "shop/web", "why": "does not accept the new root yet"}]
    made.says(u1=Trusts(frozenset(made.roots), issuer.id))
    await until(lambda: made.rotation["phase"] == "issuer")
    made.ask()
    await until(lambda: made.rotation["phase"] == "certificates" and made.rotation["behind"] == 1)
    assert old in made.roots, "trusted while somebody shows a certificate under it"
    assert made.issuer is not None
    made.says(u1=Trusts(frozenset(made.roots), made.issuer.id))
    await until(lambda: made.rotation["phase"] == "done")
    assert made.roots == [made.state["currentRoot"]]
    assert old not in made.roots
    assert (made.rotation["id"], made.rotation["by"]) == ("one", "command")
    await asyncio.sleep(0.2)
    assert made.rotation["id"] == "one", "the same request is not taken up twice"


async def test_force_goes_on_past_laggards(made: World, census: Census) -> None:
    census.put_pod(("shop", "gone"), Member("u1", running=True))
    made.command("root", "one")
    await until(lambda: made.rotation.get("behind") == 1)
    assert made.rotation["laggards"][0]["why"] == "has no stream to any discovery replica"
    made.command("root", "two", force=True)
    await until(lambda: made.rotation["phase"] == "issuer" and made.rotation["id"] == "two")
    made.ask()
    await until(lambda: made.rotation["phase"] == "done")
    assert len(made.roots) == 1


async def test_the_issuer_is_rotated_on_request(made: World, census: Census) -> None:
    before = made.issuer
    assert before is not None
    census.put_pod(("shop", "web"), Member("u1", running=True))
    made.says(u1=Trusts(frozenset(made.roots), before.id))
    made.command("issuer", "one")
    await until(lambda: made.state["issuerWanted"] > 0)
    assert made.rotation["phase"] == "issuer"
    made.ask()
    await until(lambda: made.rotation["phase"] == "certificates")
    assert made.issuer is not None
    made.says(u1=Trusts(frozenset(made.roots), made.issuer.id))
    await until(lambda: made.rotation["phase"] == "done")


async def test_a_controller_killed_half_way_is_taken_over_from(
    made: World, start: Any, census: Census, api: FakeApi
) -> None:
    made.command("root", "one")
    census.put_pod(("shop", "web"), Member("u1", running=True))
    await until(lambda: made.rotation.get("phase") == "roots")
    api.remove(PUBLISHED)  # worse than a kill: what is remembered is gone
    await until(lambda: made.rotation.get("phase") == "roots" and len(made.roots) == 2)
    made.says(u1=Trusts(frozenset(made.roots), ""))
    await until(lambda: made.rotation["phase"] == "issuer")


async def test_a_lost_secret_takes_no_trust_away(made: World, census: Census, api: FakeApi) -> None:
    (old,) = made.roots
    census.put_pod(("shop", "web"), Member("u1", running=True))
    api.remove(ROOT)
    await until(lambda: len(made.roots) == 2)
    assert old in made.roots
    assert made.rotation["by"] == "age"
    made.says(u1=Trusts(frozenset(made.roots), ""))
    await until(lambda: made.state["currentRoot"] not in ("", old))
    made.ask()
    await until(lambda: made.rotation["phase"] == "certificates")
    assert made.issuer is not None
    made.says(u1=Trusts(frozenset(made.roots), made.issuer.id))
    await until(lambda: made.rotation["phase"] == "done" and old not in made.roots)


async def test_an_expired_root_is_replaced_without_waiting_for_those_who_cannot_speak(
    start: Any, world: World, census: Census, api: FakeApi
) -> None:
    now = datetime.now(UTC)
    dead = make_root(now - timedelta(days=10), timedelta(days=1))
    data = {"root.crt": dead.certificate.pem, "root.key": dead.key}
    api.put(ROOT, {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}})
    api.put(PUBLISHED, {"data": {"roots.pem": dead.certificate.pem.decode()}})
    census.put_pod(("shop", "web"), Member("u1", running=True))
    start()
    await until(lambda: world.state.get("currentRoot") not in (None, "", dead.certificate.id))
    world.ask()
    await until(lambda: world.issuer)
    assert world.issuer is not None
    assert world.issuer.valid(datetime.now(UTC))


async def test_a_request_that_nobody_should_sign_is_left(made: World, api: FakeApi) -> None:
    issuer = made.issuer
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    for text in (request.public_bytes(serialization.Encoding.PEM), b"nonsense", b""):
        made.put_request(text)
        await asyncio.sleep(0.15)
        assert made.issuer == issuer
    made.ask()
    await until(lambda: made.issuer != issuer)


async def test_who_may_write_config_maps_may_neither_ask_for_an_issuer_nor_plant_a_root(
    made: World, api: FakeApi
) -> None:
    """Add-ons often may write any ConfigMap, and seldom any Secret."""
    issuer, roots = made.issuer, api.objects[PUBLISHED]["data"]["roots.pem"]
    asked = issuer_request(new_key(), datetime.now(UTC)).decode()
    api.put(f"{SYSTEM}/configmaps/injector-identity-request", {"data": {"csr.pem": asked}})
    planted = make_root(datetime.now(UTC), timedelta(days=365)).certificate.pem.decode()
    published = api.objects[PUBLISHED]
    api.put(PUBLISHED, published | {"data": published["data"] | {"roots.pem": roots + planted}})
    await until(lambda: api.objects[PUBLISHED]["data"]["roots.pem"] == roots)
    await asyncio.sleep(0.2)
    assert made.issuer == issuer
    assert all(planted not in said for said in made.told)


async def test_given_roots_are_passed_on_as_long_as_they_are_good(
    start: Any, world: World, api: FakeApi, metrics: ControllerMetrics
) -> None:
    start(given=True)
    await until(lambda: world.state.get("faults"))
    assert "injector-system/injector-identity-given" in world.state["faults"][0]
    roots = [make_root(datetime.now(UTC), timedelta(days=9)).certificate for _ in range(2)]
    api.put(GIVEN, {"data": {"roots.pem": "".join(root.pem.decode() for root in roots)}})
    await until(lambda: world.roots == [root.id for root in roots])
    assert (world.state["mode"], world.state["faults"]) == ("given", [])
    api.put(GIVEN, {"data": {"roots.pem": "damaged"}})
    await until(lambda: world.state["faults"])
    assert world.roots == [root.id for root in roots], "what was good stays"
    assert ROOT not in api.objects


async def test_expiries_and_the_rotation_are_metrics(made: World, census: Census, metrics: ControllerMetrics) -> None:
    def expiries() -> dict[str, float]:
        (family,) = metrics._identity_expiry.collect()
        return {sample.labels["certificate"]: sample.value for sample in family.samples}

    assert made.issuer is not None
    end = made.issuer.not_after.timestamp()
    await until(lambda: expiries().get("issuer") == end)
    assert expiries().keys() == {"issuer", "current-root"}
    census.put_pod(("shop", "web"), Member("u1", running=True))
    made.command("root", "one")
    await until(lambda: metrics._rotation.labels("roots")._value.get() == 1)
    assert metrics._laggards._value.get() == 1
    assert expiries().keys() == {"issuer", "current-root", "next-root"}
    assert metrics._rotation_since._value.get() > 0
    metrics.stood_down()
    assert metrics._laggards._value.get() == 0
