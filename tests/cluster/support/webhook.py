"""The webhook's and the controller's replicas: which pods they are, and what they count."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from injector.inject.names import SYSTEM_NAMESPACE
from tests.cluster.support.api import Api
from tests.cluster.support.kinds import Json, path
from tests.cluster.support.waiting import eventually

WEBHOOK: Final = "injector-webhook"
CONTROLLER: Final = "injector-controller"
ADMIN_PORT: Final = 8080
LEASE: Final = "injector-controller"
TAKEOVER_SECONDS: Final = 60.0
"""A Lease of 15 s, looked at every 2 s; and starts and ends of replicas on two slow cores."""


def replicas(api: Api, part: str) -> list[Json]:
    """The running pods of `WEBHOOK` or `CONTROLLER` that are not being deleted."""
    found = api.list("Pod", SYSTEM_NAMESPACE, labels=f"app.kubernetes.io/name={part}", fields="status.phase=Running")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def samples(api: Api, part: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """(labels, value) of every series `name`, of every replica, by way of the API server."""
    for pod in replicas(api, part):
        admin = path("Pod", SYSTEM_NAMESPACE, f"{pod['metadata']['name']}:{ADMIN_PORT}", "proxy")
        for family in text_string_to_metric_families(api.text(f"{admin}/metrics")):
            yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == name)


def reviews(api: Api) -> Counter[tuple[str, str]]:
    """Reviews answered so far by all replicas together, by (result, reason)."""
    counted: Counter[tuple[str, str]] = Counter()
    for labels, value in samples(api, WEBHOOK, "injector_webhook_reviews_total"):
        counted[labels["result"], labels["reason"]] += int(value)
    return counted


def leader(api: Api) -> str:
    """The controller replica, by pod name, that holds the Lease; "" where nobody does."""
    return str(api.get("Lease", LEASE, SYSTEM_NAMESPACE)["spec"].get("holderIdentity") or "")


def wait_led(api: Api, *, other_than: str = "") -> str:
    """Wait until a replica that is not about to end leads; after a rollout an old one may do so for some seconds."""

    def found() -> str:
        staying = {pod["metadata"]["name"] for pod in replicas(api, CONTROLLER)} - {other_than}
        holder = leader(api)
        return holder if holder in staying else ""

    return eventually(found, bool, seconds=TAKEOVER_SECONDS, what="a controller leads")
