"""The webhook's certificates: rotated under load without a failed review, and repaired whatever is done to them."""

import base64
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from injector.controller.objects import AUTHORITY_SECRET, CONFIGURATION, SERVING_SECRET, serving_names
from injector.inject.names import SYSTEM_NAMESPACE
from injector.pki import Pair, issue, make_authority, read_pair
from tests.cluster.support import processes, trust
from tests.cluster.support.api import Api
from tests.cluster.support.load import load
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.progress import say, step
from tests.cluster.support.sandbox import Sandbox
from tests.cluster.support.waiting import eventually
from tests.cluster.support.webhook import CONTROLLER, WEBHOOK, replicas, samples, wait_led

REPAIR_SECONDS: Final = 60.0
REVERT_SECONDS: Final = 1.0
EXPIRY: Final = "injector_webhook_certificate_expiry_timestamp_seconds"

SHORT_LIVES: Final = (
    "--certificate-lifetime-hours=0.0125",
    "--ca-lifetime-hours=0.0375",
    "--propagation-delay-seconds=4",
)
"""45 s and 135 s: a certificate is renewed after 30 s, a CA after 90 s (two thirds, and up to a twentieth more)."""
ROTATION_SECONDS: Final = 180.0
REVIEWS: Final = 20
"""Reviews that must have been seen before it counts that none failed: a repair takes less time than one of them."""


@pytest.fixture(scope="module", autouse=True)
def afterwards(mesh: Mesh) -> Iterator[None]:
    """Whatever these tests leave, the next module finds the mesh as it is installed, with certificates that last."""
    yield
    mesh.install()
    mesh.wait_ready()
    wait_led(mesh.api)
    delete_both(mesh.api)
    sound(mesh.api)


def sound(api: Api, *, seconds: float = REPAIR_SECONDS) -> trust.Trust:
    """Wait until the certificates are sound, and every replica of the webhook serves the one in the Secret."""

    def observe() -> trust.Trust:
        found = trust.observe(api)
        if found.fault or found.leaf is None:
            return found
        expiry = found.leaf.not_valid_after_utc.timestamp()
        late = [value for _, value in samples(api, WEBHOOK, EXPIRY) if value != expiry]
        return found._replace(fault=f"{len(late)} replicas serve another certificate") if late else found

    return eventually(observe, lambda found: not found.fault, seconds=seconds, what="the certificates are sound")


def secret_pair(api: Api, name: str, certificate: str, key: str) -> Pair:
    data = api.get("Secret", name, SYSTEM_NAMESPACE)["data"]
    pair = read_pair(base64.b64decode(data[certificate]), base64.b64decode(data[key]))
    assert pair is not None
    return pair


def change(api: Api, name: str, **fields: bytes) -> None:
    """Write over fields of a Secret, whose dots are written as underscores here."""
    data = {field.replace("_", "."): base64.b64encode(value).decode() for field, value in fields.items()}
    api.patch("Secret", name, {"data": data}, SYSTEM_NAMESPACE)


def delete_serving(api: Api) -> None:
    api.delete("Secret", SERVING_SECRET, SYSTEM_NAMESPACE)


def delete_authority(api: Api) -> None:
    api.delete("Secret", AUTHORITY_SECRET, SYSTEM_NAMESPACE)


def delete_both(api: Api) -> None:
    delete_authority(api)
    delete_serving(api)


def spoil_certificate(api: Api) -> None:
    change(api, SERVING_SECRET, tls_crt=b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")


def swap_key(api: Api) -> None:
    """Another certificate's key: each half is well-formed, and together they are nothing."""
    change(api, SERVING_SECRET, tls_key=make_authority(datetime.now(UTC), timedelta(days=1)).key)


def empty_both(api: Api) -> None:
    change(api, SERVING_SECRET, tls_crt=b"", tls_key=b"")
    change(api, AUTHORITY_SECRET, ca_crt=b"", ca_key=b"")


def serve_a_stranger_s(api: Api) -> None:
    """A pair that is sound in itself, of a CA that nobody trusts."""
    now = datetime.now(UTC)
    stranger = make_authority(now, timedelta(days=1))
    leaf = issue(stranger, serving_names(SYSTEM_NAMESPACE), now, timedelta(days=1))
    change(api, SERVING_SECRET, tls_crt=leaf.certificate.pem, tls_key=leaf.key, ca_crt=stranger.certificate.pem)


def expire_certificate(api: Api) -> None:
    authority = secret_pair(api, AUTHORITY_SECRET, "ca.crt", "ca.key")
    past = datetime.now(UTC) - timedelta(days=2)
    leaf = issue(authority, serving_names(SYSTEM_NAMESPACE), past, timedelta(days=1))
    change(api, SERVING_SECRET, tls_crt=leaf.certificate.pem, tls_key=leaf.key)


def expire_authority(api: Api) -> None:
    """Both, as a cluster that was off for a year finds them."""
    past = datetime.now(UTC) - timedelta(days=400)
    authority = make_authority(past, timedelta(days=365))
    leaf = issue(authority, serving_names(SYSTEM_NAMESPACE), past, timedelta(days=30))
    change(api, AUTHORITY_SECRET, ca_crt=authority.certificate.pem, ca_key=authority.key)
    change(api, SERVING_SECRET, tls_crt=leaf.certificate.pem, tls_key=leaf.key, ca_crt=authority.certificate.pem)


HARMLESS: Final = (delete_serving, delete_authority, delete_both, spoil_certificate, swap_key, empty_both)
"""What leaves the webhook with a certificate that the API server trusts: no review may fail meanwhile."""
HARMFUL: Final = (serve_a_stranger_s, expire_certificate, expire_authority)
"""What the webhook serves, for it cannot know better; nobody believes it until it is repaired."""


@pytest.mark.parametrize("damage", [*HARMLESS, *HARMFUL], ids=lambda damage: damage.__name__)
def test_secrets_are_repaired_within_a_minute(api: Api, meshed: Sandbox, damage: Callable[[Api], None]) -> None:
    before = sound(api)
    with load(meshed, clients=2) as seen:
        began = time.monotonic()
        damage(api)
        damaged = {name: _version(api, name) for name in (AUTHORITY_SECRET, SERVING_SECRET)}
        after = sound(api)
        took = time.monotonic() - began
        seen.wait_for(REVIEWS)
    say(f"  {damage.__name__}: repaired in {took:.1f} s, {len(seen.failures)} of {len(seen.seconds)} reviews failed")
    assert took < REPAIR_SECONDS
    assert (before.authority, before.leaf) != (after.authority, after.leaf), damaged
    if damage in HARMLESS:
        assert seen.failures == []


def _version(api: Api, name: str) -> str:
    found = api.list("Secret", SYSTEM_NAMESPACE, fields=f"metadata.name={name}")
    return found[0]["metadata"]["resourceVersion"] if found else ""


def test_applying_again_changes_nothing(mesh: Mesh, api: Api) -> None:
    sound(api)
    before = api.get(trust.KIND, CONFIGURATION)["metadata"]
    for _ in range(2):
        mesh.install()
    after = api.get(trust.KIND, CONFIGURATION)["metadata"]
    assert (after["resourceVersion"], after["generation"]) == (before["resourceVersion"], before["generation"])


def test_when_the_leader_is_killed_the_other_replica_takes_over(mesh: Mesh, api: Api) -> None:
    sound(api)
    holder = wait_led(api)
    (leader,) = [pod for pod in replicas(api, CONTROLLER) if pod["metadata"]["name"] == holder]
    cgroup = processes.pod_cgroup(mesh.cluster, leader)
    with step("another leader"), processes.kept_dead([cgroup], ["injector", "controller"]):
        began = time.monotonic()
        wait_led(api, other_than=holder)
        say(f"  took over after {time.monotonic() - began:.1f} s")
        delete_serving(api)
        sound(api)
    mesh.wait_ready()


def revert(api: Api) -> float:
    """What a tool does that applies caBundle as it knows it, with force; when it was done (monotonic)."""
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": trust.KIND,
        "metadata": {"name": CONFIGURATION},
        "webhooks": [
            {"name": entry["name"], "clientConfig": {"caBundle": base64.b64encode(STRANGER.certificate.pem).decode()}}
            for entry in api.get(trust.KIND, CONFIGURATION)["webhooks"]
        ],
    }
    where = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{CONFIGURATION}"
    api.send("PATCH", where, body, "application/apply-patch+yaml", fieldManager="gitops", force="true")
    return time.monotonic()


STRANGER: Final = make_authority(datetime.now(UTC), timedelta(days=1))


def test_a_reverted_bundle_is_repaired_within_a_second_and_then_left_alone(api: Api) -> None:
    wanted = sound(api)
    reverted = revert(api)
    eventually(lambda: trust.observe(api), lambda found: not found.fault, seconds=10, what="repaired")
    took = time.monotonic() - reverted
    say(f"  caBundle repaired in {took:.2f} s")
    assert took < REVERT_SECONDS
    assert trust.observe(api).authority == wanted.authority
    assert len(_versions(api, seconds=5.0)) == 1, "nobody writes what is as it should be"


def test_a_tool_that_reverts_for_ever_is_answered_a_bounded_number_of_times(api: Api) -> None:
    sound(api)
    repairs = 0
    for _ in range(20):
        reverted = revert(api)
        while trust.observe(api).fault and time.monotonic() < reverted + REVERT_SECONDS:
            time.sleep(0.05)
        repairs += not trust.observe(api).fault
    assert repairs <= 6, "five at once and two a minute"
    assert max(value for _, value in samples(api, CONTROLLER, "injector_controller_bundle_contested")) == 1
    sound(api)
    assert max(value for _, value in samples(api, CONTROLLER, "injector_controller_bundle_contested")) == 0


def _versions(api: Api, *, seconds: float) -> set[str]:
    """Versions of the webhook configuration from now on, the present one among them."""
    followed = api.watch(trust.KIND, fields=f"metadata.name={CONFIGURATION}", seconds=seconds)
    return {found["metadata"]["resourceVersion"] for _, found in followed}


@pytest.mark.timeout(400, func_only=True)
def test_certificate_and_ca_rotate_under_load_and_no_review_fails(mesh: Mesh, api: Api, meshed: Sandbox) -> None:
    controller = api.get("Deployment", CONTROLLER, SYSTEM_NAMESPACE)
    arguments = [*controller["spec"]["template"]["spec"]["containers"][0]["args"], *SHORT_LIVES]
    operation = {"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}
    api.patch("Deployment", CONTROLLER, [operation], SYSTEM_NAMESPACE)
    mesh.wait_ready()
    wait_led(api)
    authorities, leaves = set[object](), set[object]()

    def watch() -> int:
        found = trust.observe(api)
        assert not found.fault, f"what is served is trusted, at every moment: {found.fault}"
        authorities.add(found.authority)
        leaves.add(found.leaf)
        return len(authorities)

    with load(meshed, clients=4) as seen, step("a CA lost, the next one rotated in order, and their certificates"):
        authorities.add(sound(api).authority)
        delete_authority(api)  # it was to live for a year; the next ones live for two minutes
        sound(api)
        eventually(watch, lambda count: count >= 3, seconds=ROTATION_SECONDS, what="a CA was rotated")
        eventually(watch, lambda _: _signed_by_newest(api), seconds=REPAIR_SECONDS, what="it signs")
    say(f"  {len(authorities)} CAs, {len(leaves)} certificates; {len(seen.seconds)} reviews, failed: {seen.failures}")
    assert len(leaves) >= 4
    assert seen.failures == []


def _signed_by_newest(api: Api) -> bool:
    found = trust.observe(api)
    assert found.authority is not None
    assert found.leaf is not None
    return trust.signed(found.leaf, found.authority)
