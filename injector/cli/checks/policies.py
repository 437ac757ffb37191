"""PURE. Whether NetworkPolicies (networking.k8s.io/v1) let the API server reach the webhook."""

from collections.abc import Iterable, Mapping
from typing import Any

from injector.inject.model import Json


def blocking_policies(
    policies: Iterable[Json], labels: Mapping[str, str], port: int, port_name: str
) -> tuple[str, ...]:
    """Names of the policies that isolate pods with these labels, if none of them opens the port to every source.

    The API server has no labels, so a rule that names sources does not open the port to it (an ipBlock might; whoever
    wrote one knows). Policies add up: one that opens the port is enough.
    """
    isolating = [policy for policy in policies if _selects(policy, labels) and _isolates_ingress(policy)]
    if any(_opens(rule, port, port_name) for policy in isolating for rule in policy["spec"].get("ingress") or ()):
        return ()
    return tuple(policy["metadata"]["name"] for policy in isolating)


def _isolates_ingress(policy: Json) -> bool:
    # Without policyTypes a policy is about ingress, and about egress too where it has egress rules.
    return "Ingress" in (policy["spec"].get("policyTypes") or ["Ingress"])


def _selects(policy: Json, labels: Mapping[str, str]) -> bool:
    selector = policy["spec"].get("podSelector") or {}
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    return wanted.items() <= labels.items() and all(_matches(expression, labels) for expression in expressions)


def _matches(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    return {
        "In": key in labels and labels[key] in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[expression["operator"]]


def _opens(rule: Json, port: int, port_name: str) -> bool:
    if rule.get("from"):
        return False
    ports: list[dict[str, Any]] = rule.get("ports") or [{}]
    return any(_covers(entry, port, port_name) for entry in ports)


def _covers(entry: Mapping[str, Any], port: int, port_name: str) -> bool:
    first = entry.get("port")
    if entry.get("protocol", "TCP") != "TCP":
        return False
    if first is None or first == port_name:
        return True
    return isinstance(first, int) and first <= port <= int(entry.get("endPort") or first)
