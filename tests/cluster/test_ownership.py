"""What the mesh owns and may do: its rights, its watch over pods without a proxy, and its leaving without a trace."""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from injector.inject.names import ENABLED, INJECT, SYSTEM_NAMESPACE
from tests.cluster.support import pods
from tests.cluster.support.api import Api
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.command import injector
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Sandbox
from tests.cluster.support.waiting import eventually
from tests.cluster.support.webhook import CONTROLLER, samples, wait_led
from tests.manifests.test_rights import ACCOUNTS, Right

FOUND_SECONDS: Final = 5.0
GONE_SECONDS: Final = 120.0
HEARD_SECONDS: Final = 10.0
EVENT: Final = "InjectorNotInjected"
UNMESHED: Final = "injector_controller_unmeshed_pods"

EVERYBODY: Final = {
    "selfsubjectaccessreviews.authorization.k8s.io": "asks what it may do (system:basic-user)",
    "selfsubjectrulesreviews.authorization.k8s.io": "asks what it may do (system:basic-user)",
    "selfsubjectreviews.authentication.k8s.io": "asks who it is (system:basic-user)",
}
"""What Kubernetes gives every authenticated user, with what for."""


def listed(cluster: Cluster, account: str, namespace: str) -> set[tuple[str, str, str]]:
    """(verb, resource, name or "any") of everything that the API server says the account may do in a namespace."""
    who = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}"
    table = cluster.kubectl("auth", "can-i", "--list", "--no-headers", f"--as={who}", f"--namespace={namespace}")
    found = set()
    for line in table.splitlines():
        row = re.fullmatch(r"(\S*)\s+\[([^]]*)\]\s+\[([^]]*)\]\s+\[([^]]*)\]\s*", line)
        assert row, f"a row of another form: {line!r}"
        resource, _, names, verbs = row.groups()
        if resource and resource not in EVERYBODY:
            found |= {(verb, resource, name) for verb in verbs.split() for name in names.split() or ["any"]}
    return found


@pytest.mark.parametrize(("account", "reasons"), ACCOUNTS.items())
def test_the_api_server_grants_what_has_a_reason_and_no_more(
    mesh: Mesh, account: str, reasons: dict[Right, str]
) -> None:
    everywhere = {(verb, resource, name) for where, verb, resource, name in reasons if where != SYSTEM_NAMESPACE}
    at_home = {(verb, resource, name) for where, verb, resource, name in reasons if where == SYSTEM_NAMESPACE}
    assert listed(mesh.cluster, account, "default") == everywhere
    assert listed(mesh.cluster, account, SYSTEM_NAMESPACE) == everywhere | at_home


def test_a_pod_that_ran_before_its_namespace_opted_in_is_found_at_once(mesh: Mesh, api: Api, plain: Sandbox) -> None:
    (early,) = plain.start(pods.pod("early"))
    wait_led(api)
    before = unmeshed(api)
    api.patch("Namespace", plain.name, {"metadata": {"annotations": {INJECT: ENABLED}}})
    opted = time.monotonic()
    event = plain.wait_event(EVENT, seconds=FOUND_SECONDS)
    assert event["involvedObject"]["name"] == early.name
    assert "runs without a proxy" in event["message"]
    eventually(lambda: unmeshed(api), lambda now: now > before, seconds=FOUND_SECONDS, what="the metric says so")
    assert time.monotonic() - opted < FOUND_SECONDS

    code, output, faults = injector(mesh.cluster, "check")
    assert code != 0
    assert f"{plain.name}/{early.name}:runswithoutaproxy" in "".join((output + faults).split())  # lines may be broken

    early.delete()
    eventually(lambda: unmeshed(api), lambda now: now <= before, seconds=30, what="the metric forgets it")


def unmeshed(api: Api) -> float:
    return sum(value for _, value in samples(api, CONTROLLER, UNMESHED))


@pytest.fixture
def reinstalled(mesh: Mesh) -> Iterator[Mesh]:
    """Whatever happens, the next test finds the mesh."""
    yield mesh
    mesh.api.wait_gone("Namespace", SYSTEM_NAMESPACE, seconds=GONE_SECONDS)
    mesh.install()
    mesh.wait_ready()


@pytest.mark.timeout(400, func_only=True)
def test_without_the_system_namespace_every_namespace_can_create_pods(
    reinstalled: Mesh, api: Api, new_namespace: Callable[..., Sandbox]
) -> None:
    meshed, plain = new_namespace("inside", meshed=True), new_namespace("outside", meshed=False)
    assert meshed.start(pods.pod("before"))[0].meshed
    api.delete("Namespace", SYSTEM_NAMESPACE)
    api.wait_gone("MutatingWebhookConfiguration", "injector", seconds=GONE_SECONDS)
    # The API server hears of the deletion by watch, as we do, and until then it asks a webhook that is gone.
    open_new = partial(new_namespace, "new", meshed=True)
    new = eventually(open_new, lambda _: True, seconds=HEARD_SECONDS, what="a namespace that opts in is created")
    for sandbox in (meshed, plain, new):
        begin = partial(sandbox.begin, pods.pod("after"))
        after = eventually(begin, lambda _: True, seconds=HEARD_SECONDS, what="a pod is created")
        assert not after.meshed
        after.wait_ready()
