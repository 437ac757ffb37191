"""How a pod's proxy differs from the one that it would be given now."""

from typing import Any

from injector.cli.outdated import differences
from injector.inject.model import Namespace, Workload
from injector.inject.names import INJECT
from tests.cli.cluster_objects import INSTALLATION, meshed, pod


def found(value: dict[str, Any], **settings: str) -> tuple[str, ...]:
    annotations = {f"injector.mesh/{name.replace('_', '-')}": text for name, text in settings.items()}
    space = Namespace("shop", {}, {INJECT: "enabled", **annotations})
    return differences(value, space, INSTALLATION, Workload.of(value))


def test_short_values_are_shown_and_long_ones_named() -> None:
    assert found(meshed(pod("a", "shop")), log_level="debug") == (
        "injector-proxy: INJECTOR_LOG_LEVEL 'info' would be 'debug'",
    )
    rules = found(meshed(pod("a", "shop")), skip_outbound_ports="25")
    assert rules == tuple(f"injector-init: redirection rules ({family}) would differ" for family in ("IPv4", "IPv6"))


def test_an_older_version_s_proxy_is_older_and_no_counterfeit() -> None:
    old = meshed(pod("a", "shop"))
    old["spec"]["initContainers"][1]["image"] = "proxy:old"
    assert found(old) == (f"injector-proxy: image 'proxy:old' would be {INSTALLATION.proxy_image!r}",)


def test_what_is_not_in_the_containers_is_said_too() -> None:
    moved = meshed(pod("a", "shop", initContainers=[{"name": "own", "image": "x"}]))
    moved["spec"]["initContainers"].reverse()
    assert found(moved) == ("the order of its containers, its volumes or its probes would differ",)


def test_nothing_differs_where_nothing_would() -> None:
    assert found(meshed(pod("a", "shop"))) == ()
    assert found(meshed(pod("a", "shop", hostNetwork=True))) == (), "it would get none now"
