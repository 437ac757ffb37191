"""Settings of an installation: read strictly, all faults at once, and back to the same mapping."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject.installation import Installation, InstallationError

IMAGE = "registry.example:5000/mesh/proxy@sha256:" + "0" * 64
FULL = {
    "proxyImage": IMAGE,
    "imagePullPolicy": "Always",
    "imagePullSecret": "regcred",
    "proxyUid": 7777,
    "extraEnv": {"RUST_BACKTRACE": "1", "TZ": ""},
    "defaults": {"log-level": "debug", "skip-outbound-ports": "25", "proxy-cpu-request": ""},
    "trustDomain": "mesh.example",
    "networks": ["10.244.0.0/16", "fd00:244::/48"],
    "identity": {"given": True},
}


def faults(**settings: Any) -> tuple[str, ...]:
    with pytest.raises(InstallationError) as refused:
        Installation.parse({"proxyImage": IMAGE, **settings})
    assert str(refused.value) == "\n".join(refused.value.faults)
    return refused.value.faults


def test_only_the_image_is_needed() -> None:
    installation = Installation.parse({"proxyImage": IMAGE})
    assert installation == Installation(proxy_image=IMAGE)
    assert (installation.proxy_uid, installation.image_pull_policy) == (2102, "IfNotPresent")


def test_every_setting_is_read() -> None:
    installation = Installation.parse(FULL)
    assert installation.proxy_image == IMAGE
    assert installation.image_pull_policy == "Always"
    assert installation.image_pull_secret == "regcred"
    assert installation.proxy_uid == 7777
    assert installation.extra_env == {"RUST_BACKTRACE": "1", "TZ": ""}
    assert installation.defaults["log-level"] == "debug"
    assert installation.trust_domain == "mesh.example"
    assert installation.networks == ("10.244.0.0/16", "fd00:244::/48")
    assert installation.identity_given is True


@pytest.mark.parametrize("mapping", [{"proxyImage": IMAGE}, FULL])
def test_what_is_written_is_read_back(mapping: Mapping[str, Any]) -> None:
    installation = Installation.parse(mapping)
    assert Installation.parse(installation.to_mapping()) == installation
    assert mapping.items() <= installation.to_mapping().items()


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"trustDomain": ""}, "trustDomain: expected a name of lower-case labels such as cluster.local, got ''"),
        ({"trustDomain": "Mesh"}, "trustDomain: expected a name"),
        ({"trustDomain": "a..b"}, "trustDomain: expected a name"),
        ({"trustDomain": "a" * 129}, "trustDomain: expected a name"),
        ({"trustDomain": "mesh\n"}, "trustDomain: expected a name"),
        ({"trustDomain": None}, "trustDomain: expected a name"),
        ({"networks": "10.0.0.0/8"}, "networks: expected a list of at most 64 ranges such as 10.244.0.0/16"),
        ({"networks": ["10.0.0.0/8"] * 65}, "networks: expected a list of at most 64"),
        (
            {"networks": ["10.0.0.1/8"]},
            "networks: expected ranges such as 10.244.0.0/16 or fd00:244::/48, got '10.0.0.1/8'",
        ),
        ({"networks": [8]}, "networks: expected ranges"),
        ({"identity": True}, "identity: expected a mapping with the one setting 'given', got True"),
        ({"identity": {"taken": True}}, "identity: expected a mapping"),
        ({"identity": {"given": "yes"}}, "identity.given: expected true or false, got 'yes'"),
        ({"proxyImage": None}, "proxyImage: expected an image reference, got None"),
        ({"proxyImage": ""}, "proxyImage: expected an image reference, got ''"),
        ({"proxyImage": "a b"}, "proxyImage: expected an image reference, got 'a b'"),
        ({"proxyImage": "proxy\n"}, "proxyImage: expected"),
        ({"imagePullPolicy": "always"}, "imagePullPolicy: expected Always, IfNotPresent, Never, got 'always'"),
        ({"imagePullPolicy": []}, "imagePullPolicy: expected"),
        ({"imagePullSecret": ""}, "imagePullSecret: expected the name of a Secret, got ''"),
        ({"imagePullSecret": "Not_A_Name"}, "imagePullSecret: expected"),
        ({"imagePullSecret": 5}, "imagePullSecret: expected"),
        ({"proxyUid": 0}, r"proxyUid: expected a user id of 1 to 2147483647 \(never root\), got 0"),
        ({"proxyUid": -1}, "proxyUid: expected"),
        ({"proxyUid": 2**31}, "proxyUid: expected"),
        ({"proxyUid": "2102"}, "proxyUid: expected"),
        ({"proxyUid": True}, "proxyUid: expected"),
        ({"proxyUid": 2102.0}, "proxyUid: expected"),
        ({"extraEnv": None}, "extraEnv: expected a mapping"),
        ({"extraEnv": ["A=b"]}, "extraEnv: expected a mapping of names to texts, got list"),
        ({"extraEnv": {"LD_PRELOAD": "x"}}, "extraEnv.LD_PRELOAD: not allowed, for it loads code into the proxy"),
        ({"extraEnv": {"LD_LIBRARY_PATH": "x"}}, "extraEnv.LD_LIBRARY_PATH: not allowed"),
        (
            {"extraEnv": {"SSLKEYLOGFILE": "/k"}},
            "extraEnv.SSLKEYLOGFILE: not allowed, for it writes the proxy's session",
        ),
        (
            {"extraEnv": {"INJECTOR_LOG_LEVEL": "x"}},
            "extraEnv.INJECTOR_LOG_LEVEL: not allowed, for it is the mesh's own",
        ),
        ({"extraEnv": {"A B": "x"}}, "extraEnv: expected a variable's name, got 'A B'"),
        ({"extraEnv": {"A=B": "x"}}, "extraEnv: expected a variable's name, got 'A=B'"),
        ({"extraEnv": {5: "x"}}, "extraEnv: expected a variable's name, got 5"),
        ({"extraEnv": {"A": 1}}, "extraEnv.A: expected a text, got 1"),
        ({"defaults": "log-level"}, "defaults: expected a mapping of settings to texts, got str"),
        ({"defaults": {"log-levle": "info"}}, "defaults.log-levle: unknown, expected one of log-level, log-format"),
        ({"defaults": {"inject": "enabled"}}, "defaults.inject: unknown"),  # nobody opts a whole cluster in
        ({"defaults": {"log-level": "loud"}}, "defaults: injector.mesh/log-level: expected trace.*got 'loud'"),
        ({"defaults": {"shutdown-grace": 30}}, "defaults: injector.mesh/shutdown-grace: expected a duration.*got '30'"),
        (
            {"defaults": {"proxy-cpu-request": "100m", "proxy-cpu-limit": "50m"}},
            r"defaults.proxy-cpu-limit: expected at least proxy-cpu-request \(100m\), got '50m'",
        ),
        ({"proxyimage": IMAGE}, "proxyimage: unknown setting, expected one of proxyImage, "),
        ({7: 1}, "7: unknown setting"),
    ],
)
def test_a_bad_setting_is_refused(settings: Mapping[Any, Any], fault: str) -> None:
    with pytest.raises(InstallationError, match=rf"^installation\.{fault}"):
        Installation.parse({"proxyImage": IMAGE, **settings})


@pytest.mark.parametrize("mapping", [None, [], "proxyImage: x", 5])
def test_what_is_no_mapping_is_refused(mapping: Any) -> None:
    with pytest.raises(InstallationError, match=r"^installation: expected a mapping of settings, got "):
        Installation.parse(mapping)


def test_all_faults_are_told_at_once() -> None:
    assert [fault.split(":")[0] for fault in faults(
        proxyImage=5, imagePullPolicy="x", proxyUid=0, extraEnv={"LD_A": 1}, defaults={"x": "y"}, more=1
    )] == [
        "installation.more",
        "installation.proxyImage",
        "installation.imagePullPolicy",
        "installation.proxyUid",
        "installation.extraEnv.LD_A",
        "installation.extraEnv.LD_A",
        "installation.defaults.x",
    ]  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(FULL)) | st.text(max_size=5), JSON) | JSON)
def test_garbage_is_refused_or_read_and_never_breaks_anything(garbage: Any) -> None:
    assert told_or_read_back(garbage)


def told_or_read_back(mapping: Any) -> bool:
    try:
        installation = Installation.parse(mapping)
    except InstallationError as refused:
        return all(fault.startswith("installation") for fault in refused.faults)
    return Installation.parse(installation.to_mapping()) == installation
