"""The cluster's ranges by its objects, and `mesh.json`."""

from __future__ import annotations

import json

import pytest

from injector.controller.trust.content import mesh_json
from injector.controller.trust.facts import project_node, project_service
from injector.controller.trust.networks import networks


@pytest.mark.parametrize(
    ("pods", "ranges", "services", "expected"),
    [
        (["10.244.0.0/24", "10.244.1.0/24"], ["10.96.0.0/12"], ["10.96.3.4"], ["10.96.0.0/12", "10.244.0.0/23"]),
        (["10.244.0.0/24", "10.244.2.0/24"], [], ["10.96.3.4"], ["10.96.0.0/16", "10.244.0.0/24", "10.244.2.0/24"]),
        (
            ["fd00:244::/64"],
            ["10.96.0.0/16"],
            ["10.96.0.9", "fd00:96::9"],
            ["10.96.0.0/16", "fd00:96::/112", "fd00:244::/64"],
        ),
        (["nonsense", "10.0.0.1/8"], [], [], ["10.0.0.0/8"]),
        (["0.0.0.0/0", "::/0", "10.0.0.0/7", "fd00::/31", "fd00::/32"], [], [], ["fd00::/32"]),
        ([], [], [], []),
    ],
)
def test_ranges_are_merged_and_missing_ones_guessed(
    pods: list[str], ranges: list[str], services: list[str], expected: list[str]
) -> None:
    assert networks(pods, ranges, services) == expected
    assert networks(reversed(pods), ranges, services) == expected


def test_nodes_and_services_as_the_api_server_shows_them() -> None:
    assert project_node({"spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "fd00::/64"]}}) == (
        "10.0.0.0/24",
        "fd00::/64",
    )
    assert project_node({"spec": {"podCIDR": "10.0.0.0/24"}}) == ("10.0.0.0/24",)
    assert project_node({"spec": {}}) == ()
    assert project_service({"spec": {"clusterIP": "10.1.1.1", "clusterIPs": ["10.1.1.1", "fd00::1"]}}) == (
        "10.1.1.1",
        "fd00::1",
    )
    assert project_service({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}) == ()
    assert project_service({"spec": {"type": "ExternalName"}}) == ()


def test_mesh_json_has_what_a_proxy_needs_before_it_can_ask() -> None:
    said = json.loads(mesh_json("cluster.local", "injector-system", ["10.96.3.4"], ["fd00::5"], ["10.0.0.0/8"]))
    assert said == {
        "version": 1,
        "trustDomain": "cluster.local",
        "systemNamespace": "injector-system",
        "identity": ["10.96.3.4:8443"],
        "discovery": ["[fd00::5]:8443"],
        "networks": ["10.0.0.0/8"],
    }
