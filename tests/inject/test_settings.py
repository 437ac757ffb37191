"""Whose word counts: the pod's, then its namespace's, then the installation's, then the default."""

import pytest

from injector.inject import quantity
from injector.inject.annotations import BY_NAME, SETTINGS, Key
from injector.inject.ports import PortRange
from injector.inject.settings import Resolution, resolve
from tests.inject.objects import annotated

OTHER_VALUES = {
    "word": ("debug", "warn", "error"),
    "quantity": ("20m", "30m", "40m"),
    "ports": ("1", "2", "3"),
    "subnets": ("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    "duration": ("1s", "2s", "3s"),
}

THREE_WORDS = {
    "log-format": ("json", "text", "json"),
    "default-inbound-policy": ("deny", "cluster-authenticated", "all-authenticated"),
    "unknown-destinations": ("pass", "refuse", "pass"),
}


def three_values(key: Key) -> tuple[str, str, str]:
    """Different values of a key for pod, namespace and installation."""
    if key.name in THREE_WORDS:
        return THREE_WORDS[key.name]
    first, second, third = OTHER_VALUES[key.type]
    if "memory" in key.name:
        return "20Mi", "30Mi", "40Mi"
    return first, second, third


def word_on(key: Key, pod: str | None, namespace: str | None, installation: str | None) -> Resolution:
    return resolve(
        {} if pod is None else {key.annotation: pod},
        {} if namespace is None else {key.annotation: namespace},
        {} if installation is None else {key.name: installation},
    )


def value(resolution: Resolution, key: Key) -> object:
    return getattr(resolution.settings, key.name.replace("-", "_"))


@pytest.mark.parametrize("key", SETTINGS, ids=lambda key: key.name)
def test_the_nearest_word_counts(key: Key) -> None:
    pod, namespace, installation = three_values(key)
    for given, expected, origin in [
        ((pod, namespace, installation), pod, "pod"),
        ((None, namespace, installation), namespace, "namespace"),
        ((None, None, installation), installation, "installation"),
        ((None, None, None), key.default, "default"),
        ((pod, None, installation), pod, "pod"),
    ]:
        resolution = word_on(key, *given)
        assert value(resolution, key) == key.read(expected)
        assert resolution.settings.origins[key.name] == origin
        assert (resolution.faults, resolution.warnings) == ((), ())


@pytest.mark.parametrize("key", SETTINGS, ids=lambda key: key.name)
def test_a_bad_value_on_the_pod_is_a_fault_that_names_key_value_and_expectation(key: Key) -> None:
    resolution = word_on(key, "no such value!", None, None)
    (fault,) = resolution.faults
    assert fault.startswith(f"{key.annotation}: expected ")
    assert fault.endswith("got 'no such value!'")
    assert resolution.warnings == ()


@pytest.mark.parametrize("key", [key for key in SETTINGS if not key.guards], ids=lambda key: key.name)
def test_a_bad_value_on_the_namespace_is_a_warning_and_the_next_word_counts(key: Key) -> None:
    _, _, installation = three_values(key)
    resolution = word_on(key, None, "no such value!", installation)
    (warning,) = resolution.warnings
    assert warning.startswith(f"{key.annotation}: expected ")
    assert warning.endswith("got 'no such value!'; ignored on the namespace")
    assert resolution.faults == ()
    assert value(resolution, key) == key.read(installation)
    assert resolution.settings.origins[key.name] == "installation"


def test_a_bad_value_on_the_namespace_does_not_matter_where_the_pod_has_its_own_word() -> None:
    resolution = resolve(annotated(log_level="debug"), annotated(log_level="loud"), {})
    assert (resolution.settings.log_level, resolution.faults, resolution.warnings) == ("debug", (), ())


def test_a_bad_value_on_the_namespace_where_the_key_guards_is_a_fault() -> None:
    (key,) = (key for key in SETTINGS if key.guards)
    resolution = word_on(key, None, "no such value!", "deny")
    (fault,) = resolution.faults
    assert fault.endswith("got 'no such value!' on the namespace; its pods are refused until that is corrected")
    assert resolution.warnings == ()


def test_all_bad_values_of_a_pod_are_told_at_once() -> None:
    bad = {key.annotation: "no such value!" for key in SETTINGS}
    assert len(resolve(bad, {}, {}).faults) == len(SETTINGS)


def test_an_empty_text_is_a_word_too() -> None:
    resolution = resolve(annotated(skip_outbound_ports=""), annotated(skip_outbound_ports="25"), {})
    assert resolution.settings.skip_outbound_ports == ()
    assert resolution.settings.origins["skip-outbound-ports"] == "pod"


def test_spaces_around_a_value_do_not_matter() -> None:
    resolution = resolve(annotated(log_level=" debug\n", opaque_ports=" 25 "), {}, {})
    assert resolution.settings.log_level == "debug"
    assert resolution.settings.opaque_ports == (PortRange(25, 25),)


def test_a_very_long_value_is_read_like_any_other() -> None:
    several = ",".join(f"{first}-{first + 1}" for first in range(10_000, 60_000, 200)) + "," * 5 + " " * 5000
    assert len(resolve(annotated(opaque_ports=several), {}, {}).settings.opaque_ports) == 250


class TestLimitsBelowRequests:
    @pytest.mark.parametrize(("resource", "least"), [("cpu", "10m"), ("memory", "16Mi")])
    def test_a_default_request_is_below_every_limit_that_can_be_set(self, resource: str, least: str) -> None:
        request, limit = BY_NAME[f"proxy-{resource}-request"], BY_NAME[f"proxy-{resource}-limit"]
        assert limit.range.startswith(f"`{least}` ")
        assert quantity.parse(request.default) <= quantity.parse(least)
        assert resolve({limit.annotation: least}, {}, {}).faults == ()

    def test_the_pods_own_is_a_fault_that_says_whose_words_collide(self) -> None:
        (fault,) = resolve(annotated(proxy_cpu_limit="20m"), annotated(proxy_cpu_request="100m"), {}).faults
        assert fault == (
            "injector.mesh/proxy-cpu-limit: expected at least injector.mesh/proxy-cpu-request "
            "(100m, from the namespace), got '20m' (from the pod)"
        )

    def test_both_of_the_pods_resources_are_told_at_once(self) -> None:
        words = annotated(
            proxy_cpu_request="1", proxy_cpu_limit="0.5", proxy_memory_request="1Gi", proxy_memory_limit="1G"
        )
        assert len(resolve(words, {}, {}).faults) == 2

    def test_a_namespaces_is_a_warning_and_the_installations_word_counts(self) -> None:
        namespace = annotated(proxy_cpu_request="100m", proxy_cpu_limit="50m")
        resolution = resolve({}, namespace, {"proxy-cpu-limit": "30m"})
        assert resolution.faults == ()
        (warning,) = resolution.warnings
        assert "got '50m' (from the namespace); the namespace's word on both is ignored" in warning
        assert resolution.settings.proxy_cpu_limit == "30m"
        assert resolution.settings.proxy_cpu_request == "10m"
        assert resolution.settings.origins["proxy-cpu-limit"] == "installation"

    def test_a_namespaces_limit_below_the_installations_request_refuses_no_pod(self) -> None:
        resolution = resolve({}, annotated(proxy_cpu_limit="50m"), {"proxy-cpu-request": "100m"})
        assert (resolution.faults, len(resolution.warnings)) == ((), 1)
        assert (resolution.settings.proxy_cpu_request, resolution.settings.proxy_cpu_limit) == ("100m", "")

    def test_an_equal_limit_in_another_notation_is_fine(self) -> None:
        resolution = resolve(annotated(proxy_cpu_request="0.5", proxy_cpu_limit="500m"), {}, {})
        assert (resolution.faults, resolution.warnings) == ((), ())


def test_nothing_bypasses_the_mesh_by_default() -> None:
    assert resolve({}, {}, {}).settings.bypasses() == []


def test_whatever_bypasses_the_mesh_is_told_with_who_said_so() -> None:
    pod = annotated(skip_inbound_ports="9000-9010", skip_outbound_subnets="10.0.0.0/8,fd00::/8")
    namespace = annotated(skip_outbound_ports="25", skip_inbound_subnets="192.0.2.1")
    through, unknown = "do not pass through the proxy", "while discovery does not answer, all new destinations"
    installation = {"opaque-ports": "3306", "unknown-destinations": "pass"}
    assert resolve(pod, namespace, installation).settings.bypasses() == [
        f"connections to its ports 9000-9010 {through} (injector.mesh/skip-inbound-ports, set by the pod)",
        f"connections to ports 25 elsewhere {through} (injector.mesh/skip-outbound-ports, set by the namespace)",
        f"connections from 192.0.2.1/32 {through} (injector.mesh/skip-inbound-subnets, set by the namespace)",
        f"connections to 10.0.0.0/8, fd00::/8 {through} (injector.mesh/skip-outbound-subnets, set by the pod)",
        f"{unknown} are reached as plain bytes (injector.mesh/unknown-destinations, set by the installation)",
        "on ports 3306 only bytes are seen, not requests (injector.mesh/opaque-ports, set by the installation)",
    ]
