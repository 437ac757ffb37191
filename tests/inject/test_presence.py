"""What of ours a pod has, found by name and place."""

import pytest

from injector.inject.model import Json
from injector.inject.presence import claims, env_value, proxy_container, redirection_container
from tests.inject.objects import container, injected, pod


def test_an_injected_pod_has_both_containers() -> None:
    patched = injected(pod(initContainers=[container("wait")]))
    assert redirection_container(patched) == patched["spec"]["initContainers"][0]
    assert proxy_container(patched) == patched["spec"]["initContainers"][1]


@pytest.mark.parametrize(
    "subject",
    [{}, {"spec": None}, pod(), pod(initContainers=None), pod(container("injector-proxy")), pod(initContainers=[])],
)
def test_others_have_none(subject: Json) -> None:
    assert proxy_container(subject) is None
    assert redirection_container(subject) is None


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (pod()["spec"], []),
        (pod(container("injector-proxy"))["spec"], ["injector-proxy"]),
        ({"initContainers": [container("injector-init")], "ephemeralContainers": [container("injector-init")]},
         ["injector-init", "injector-init"]),
        ({"volumes": [{"name": "injector-token"}, {"name": "injector"}, {"name": "injector-identity"}]},
         ["injector-token", "injector-identity"]),
        ({"containers": None, "initContainers": None, "volumes": None}, []),
    ],
)  # fmt: skip
def test_every_use_of_our_names_is_a_claim(spec: Json, names: list[str]) -> None:
    assert list(claims(spec)) == names


@pytest.mark.parametrize(
    ("env", "value"),
    [
        ([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], "1"),
        ([{"name": "A"}], ""),
        ([{"name": "A", "value": None}], ""),
        ([{"name": "B", "value": "1"}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_a_variables_text_is_its_first_or_none(env: list[Json] | None, value: str) -> None:
    assert env_value(container(env=env), "A") == value
