"""The keys: declared once, each complete, and what is said of those that are misspelt."""

import pytest

from injector.inject.annotations import INJECT_KEY, KEYS, MOST_UNKNOWN_KEYS, SETTINGS, Key, bad_value, unknown_keys
from injector.inject.settings import Settings


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_is_complete(key: Key) -> None:
    assert all((key.name, key.type, key.range, key.where, key.sentence))
    assert key.sentence.endswith(".")
    assert key.annotation == f"injector.mesh/{key.name}"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_default_is_a_value_that_its_key_takes(key: Key) -> None:
    key.read(key.default)


def test_names_are_unique_and_are_the_fields_of_the_settings() -> None:
    assert len({key.name for key in KEYS}) == len(KEYS)
    assert {key.name.replace("-", "_") for key in SETTINGS} == set(Settings.__slots__) - {"origins"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("injector.mesh/log-levle", "injector.mesh/log-level"),
        ("injector.mesh/skip-outbound-port", "injector.mesh/skip-outbound-ports"),
        ("injector.mesh/opaque_ports", "injector.mesh/opaque-ports"),
        ("injector.mesh/Inject", "injector.mesh/inject"),
        ("injector.mesh/cpu-request", "injector.mesh/proxy-cpu-request"),
        ("injector.mesh/shutdown-grace-period", "injector.mesh/shutdown-grace"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known_one(written: str, meant: str) -> None:
    (said,) = unknown_keys([written])
    assert said == f"annotation {written!r} is unknown and has no effect; did you mean {meant}?"


@pytest.mark.parametrize("written", ["injector.mesh/", "injector.mesh/zzz", "injector.mesh/" + "x" * 300])
def test_a_key_like_no_other_is_told_where_the_keys_are(written: str) -> None:
    (said,) = unknown_keys([written])
    assert said.endswith("is unknown and has no effect; see the README for the keys")
    assert len(said) < 256, "the API server cuts warnings there"


@pytest.mark.parametrize("other", ["example.com/log-levle", "log-level", "injector.mesh", "x.injector.mesh/log-levle"])
def test_keys_of_others_are_none_of_our_business(other: str) -> None:
    assert list(unknown_keys([other, *(key.annotation for key in KEYS)])) == []


def test_a_flood_of_unknown_keys_is_summed_up() -> None:
    said = list(unknown_keys(f"injector.mesh/log-levle-{index}" for index in range(100_000)))
    assert len(said) == MOST_UNKNOWN_KEYS + 1
    assert said[0] == "100000 annotations under injector.mesh/ are unknown; the first 16 follow"


def test_a_bad_value_of_64_characters_is_shown_whole() -> None:
    assert bad_value(INJECT_KEY, "x" * 64, "expected y").endswith(f", got '{'x' * 64}'")
    assert bad_value(INJECT_KEY, "x" * 65, "expected y").endswith(f", got '{'x' * 64}…'")


def test_a_bad_value_is_shown_cut_and_escaped() -> None:
    said = bad_value(INJECT_KEY, "yes\n\x1b[31m" + "x" * 1000, "expected enabled or disabled")
    assert said.startswith("injector.mesh/inject: expected enabled or disabled, got 'yes\\n\\x1b[31m")
    assert said.endswith("…'")
    assert len(said) < 256
