"""Which NetworkPolicies keep the API server from the webhook."""

from typing import Any

import pytest

from injector.cli.checks.policies import blocking_policies
from injector.cli.manifests import load_manifests

LABELS = {"app.kubernetes.io/name": "injector-webhook", "app.kubernetes.io/part-of": "injector"}
DENY: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress"]}


def blocking(*specs: dict[str, Any], port: int = 8443) -> tuple[str, ...]:
    policies = [{"metadata": {"name": f"p{number}"}, "spec": spec} for number, spec in enumerate(specs)]
    return blocking_policies(policies, LABELS, port, "https")


def opening(*ports: dict[str, Any], **rule: Any) -> dict[str, Any]:
    return {"podSelector": {}, "ingress": [{"ports": list(ports), **rule}]}


def test_none_and_a_default_deny() -> None:
    assert blocking() == ()
    assert blocking(DENY) == ("p0",)
    assert blocking({"podSelector": {}}) == ("p0",), "a policy without types is about ingress"
    assert blocking({"podSelector": {}, "policyTypes": ["Egress"]}) == ()


@pytest.mark.parametrize(
    ("spec", "blocks"),
    [
        (opening({"port": 8443}), False),
        (opening({"port": 8443, "protocol": "UDP"}), True),
        (opening({"port": 8000, "endPort": 9000}), False),
        (opening({"port": 8000, "endPort": 8442}), True),
        (opening({"port": "https"}), False),
        (opening({"port": "admin"}), True),
        (opening({"protocol": "TCP"}), False),
        ({"podSelector": {}, "ingress": [{}]}, False),
        (opening({"port": 8443}, **{"from": [{"namespaceSelector": {}}]}), True),
    ],
)
def test_a_rule_opens_the_port_to_everybody_or_does_not(spec: dict[str, Any], blocks: bool) -> None:
    assert bool(blocking(DENY, spec)) is blocks


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({"matchLabels": {"app.kubernetes.io/name": "injector-webhook"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchExpressions": [{"key": "app.kubernetes.io/part-of", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app.kubernetes.io/part-of", "operator": "In", "values": ["injector"]}]}, True),
        (
            {"matchExpressions": [{"key": "app.kubernetes.io/part-of", "operator": "NotIn", "values": ["injector"]}]},
            False,
        ),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}, True),
    ],
)
def test_selectors(selector: dict[str, Any], selects: bool) -> None:
    assert bool(blocking({"podSelector": selector})) is selects


def test_ours_open_the_port_in_a_namespace_that_denies() -> None:
    ours = [document.value for document in load_manifests() if document.value["kind"] == "NetworkPolicy"]
    deny = {"metadata": {"name": "deny"}, "spec": DENY}
    assert blocking_policies([deny, *ours], LABELS, 8443, "https") == ()
    assert blocking_policies([deny, *ours], LABELS, 9443, "https") != ()
