"""The reviews that load is made of."""

import json

import pytest

from benches.webhook.reviews import Owner, pod, review
from injector.inject.installation import Installation
from injector.inject.model import Namespace
from injector.inject.review import Injected, review_pod

OWNER = Owner("orders-7d4b9c5f6d", "0b6e8f7e-6f0c-4c6e-9d53-0f5c2f7b8a12")


@pytest.mark.parametrize("size", [3000, 4096, 65536, 100_001, 1048576])
def test_pods_are_exactly_as_large_as_asked(size: int) -> None:
    assert len(json.dumps(pod(size, "shop", OWNER), separators=(",", ":"))) == size


def test_a_pod_that_cannot_be_so_small_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a size"):
        pod(100, "shop", OWNER)


def test_large_pods_have_many_containers_with_names_and_ports_of_their_own() -> None:
    containers = pod(1048576, "shop", OWNER)["spec"]["containers"]
    assert len(containers) > 5
    assert len({container["name"] for container in containers}) == len(containers)
    assert len({container["ports"][0]["containerPort"] for container in containers}) == len(containers)


@pytest.mark.parametrize("size", [4096, 65536, 1048576])
def test_the_pod_in_a_review_is_injected(size: int) -> None:
    request = json.loads(review(size, "shop", OWNER))["request"]
    found = review_pod(
        request["object"], Namespace("shop", {}, {}), Installation("proxy:1"), workload=None, opted_in=True
    )
    assert isinstance(found, Injected)
