"""The controller's work on certificates over HTTP: made, repaired at once, and not fought over for ever."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from injector.controller import objects
from injector.controller.certificates import Certificates
from injector.controller.metrics import ControllerMetrics
from injector.controller.objects import AUTHORITY_SECRET, SERVING_SECRET, serving_names
from injector.controller.rotation import Policy
from injector.kube import reconcile as reconcile_module
from injector.pki import read_bundle
from tests.kube.fake import status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from injector.kube.client import KubeClient
    from tests.kube.fake import FakeApi

SYSTEM = "/api/v1/namespaces/injector-system"
AUTHORITY = f"{SYSTEM}/secrets/{AUTHORITY_SECRET}"
SERVING = f"{SYSTEM}/secrets/{SERVING_SECRET}"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/injector"
ENTRIES = ("namespaces.injector.mesh", "pods.injector.mesh", "annotated-pods.injector.mesh")
POLICY = Policy(serving_names("injector-system"), timedelta(days=365), timedelta(days=30), timedelta(seconds=60))


def configuration(bundle: str | None = None) -> dict[str, Any]:
    own = {} if bundle is None else {"caBundle": bundle}
    return {"webhooks": [{"name": name, "clientConfig": {"service": {"name": "x"}} | own} for name in ENTRIES]}


def bundles(api: FakeApi) -> set[str]:
    return {entry["clientConfig"].get("caBundle", "") for entry in api.objects[CONFIGURATION]["webhooks"]}


def trusted(api: FakeApi) -> bool:
    """Whether every entry trusts the CA of what is served."""
    if SERVING not in api.objects or len(bundles(api)) != 1:
        return False
    serving = objects.read_serving(api.objects[SERVING])
    known = {certificate.id for certificate in read_bundle(base64.b64decode(bundles(api).pop()))}
    return serving.pair is not None and all(issuer.id in known for issuer in serving.issuers)


@pytest.fixture
def metrics() -> ControllerMetrics:
    return ControllerMetrics(CollectorRegistry())


@pytest.fixture
async def keeper(kube: KubeClient, api: FakeApi, metrics: ControllerMetrics) -> AsyncIterator[Certificates]:
    api.put(SYSTEM, {})
    api.put(CONFIGURATION, configuration())
    made = Certificates(kube, "injector-system", POLICY, metrics, now=lambda: datetime.now(UTC))
    task = asyncio.create_task(made.run())
    await until(lambda: trusted(api))
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("keeper")
async def test_everything_is_made_and_owned(api: FakeApi) -> None:
    assert api.objects[SERVING]["type"] == "kubernetes.io/tls"
    assert set(api.objects[SERVING]["data"]) == {"tls.crt", "tls.key", "ca.crt"}
    owner = api.objects[CONFIGURATION]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Namespace", "injector-system", f"uid-{SYSTEM}")
    assert "blockOwnerDeletion" not in owner, "which would need a right on the namespace's finalizers"
    (applied,) = api.requests("PATCH", CONFIGURATION, fieldManager="injector-controller", force="true")
    assert applied.body["metadata"].keys() == {"name", "ownerReferences"}
    assert all(entry["clientConfig"].keys() == {"caBundle"} for entry in applied.body["webhooks"]), "no more is ours"


@pytest.mark.usefixtures("keeper")
async def test_a_revert_is_repaired_within_a_second_and_equal_bytes_make_no_loop(api: FakeApi) -> None:
    right = bundles(api)
    for wrong in (None, base64.b64encode(b"nonsense").decode()):
        api.put(CONFIGURATION, configuration(wrong))
        await until(lambda: bundles(api) == right, seconds=1.0)
    repairs = len(api.requests("PATCH", CONFIGURATION))
    same = api.objects[CONFIGURATION] | {"unrelated": "change"}
    api.put(CONFIGURATION, same)
    await asyncio.sleep(0.3)
    assert len(api.requests("PATCH", CONFIGURATION)) == repairs


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("secret", [AUTHORITY, SERVING])
async def test_a_deleted_secret_is_made_again(api: FakeApi, secret: str) -> None:
    api.remove(secret)
    await until(lambda: secret in api.objects and trusted(api))


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("secret", [AUTHORITY, SERVING])
async def test_a_damaged_secret_is_made_anew(api: FakeApi, secret: str) -> None:
    damaged = dict.fromkeys(api.objects[secret]["data"], "bm9uc2Vuc2U=")
    api.put(secret, api.objects[secret] | {"data": damaged})
    await until(lambda: api.objects[secret]["data"] != damaged and trusted(api))


@pytest.mark.usefixtures("keeper")
async def test_failing_requests_are_tried_again(api: FakeApi) -> None:
    failures = iter([500, 409, 403])

    def intercept(seen: Any) -> Any:
        code = next(failures, None) if seen.method in ("POST", "PUT") else None
        return status(code, "Conflict" if code == 409 else "Other") if code else None

    api.intercept = intercept
    api.remove(SERVING)
    await until(lambda: SERVING in api.objects and trusted(api), seconds=10)


@pytest.mark.usefixtures("keeper")
async def test_who_fights_over_the_bundle_is_reported_and_not_fought_for_ever(
    api: FakeApi, metrics: ControllerMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_module, "AFTER_STEP_SECONDS", 0.05)
    theirs = base64.b64encode(b"theirs").decode()
    fields = [{"manager": "gitops", "fieldsV1": {"f:webhooks": {"f:clientConfig": {"f:caBundle": {}}}}}]
    for _ in range(40):
        api.put(CONFIGURATION, configuration(theirs) | {"metadata": {"managedFields": fields}})
        await asyncio.sleep(0.03)
    assert len(api.requests("PATCH", CONFIGURATION)) <= 7
    assert metrics.contested._value.get() == 1


async def test_nothing_is_made_where_the_configuration_is_missing(kube: KubeClient, api: FakeApi) -> None:
    api.put(SYSTEM, {})
    keeper = Certificates(kube, "injector-system", POLICY, ControllerMetrics(CollectorRegistry()))
    task = asyncio.create_task(keeper.run())
    await until(lambda: SERVING in api.objects)
    await asyncio.sleep(0.1)
    assert CONFIGURATION not in api.objects
    api.put(CONFIGURATION, configuration())
    await until(lambda: trusted(api), seconds=1.0)
    task.cancel()
