"""Our names in a pod: what the mesh adds is accepted, what others honestly touch is repaired, the rest is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from injector.inject.decision import SkipReason
from injector.inject.model import Json, Namespace
from injector.inject.review import Injected, Skipped
from injector.inject.uninject import uninject
from tests.inject.objects import (
    INSTALLATION,
    annotated,
    container,
    expect,
    faults,
    init_of,
    injected,
    messages,
    named,
    pod,
    proxy_of,
    reasons,
    review,
)

ALREADY = Skipped(SkipReason.ALREADY_INJECTED)
OURS = ("injector-init", "injector-proxy")


def spoilt(name: str, **fields: Any) -> Json:
    """An injected pod in which one of our containers has these fields instead of its own; None takes one away."""
    patched = injected(pod())
    ours = named(patched["spec"]["initContainers"], name)
    ours.update(fields)
    for field in [field for field, value in fields.items() if value is None]:
        del ours[field]
    return patched


FORGERIES = [
    {"image": "evil.example/proxy:0.1.0"},
    {"image": None},
    {"args": ["sh", "-c", "id"]},
    {"command": ["sh"]},
    {"workingDir": "/proc"},
    {"lifecycle": {"postStart": {"exec": {"command": ["sh"]}}}},
    {"envFrom": [{"secretRef": {"name": "x"}}]},
    {"stdin": True},
    {"tty": True},
    {"volumeDevices": [{"name": "disk", "devicePath": "/dev/sda"}]},
    {"terminationMessagePath": "/etc/passwd"},
    {"readinessProbe": {"exec": {"command": ["sh"]}}},
    {"livenessProbe": {"exec": {"command": ["sh"]}}},
    {"startupProbe": {"exec": {"command": ["true"]}}},
    {"ports": [{"containerPort": 80}]},
    {"securityContext": None},
    {"securityContext": {}},
    {"securityContext": {"privileged": True}},
    {"restartPolicyRules": [{"action": "Restart"}]},
]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("fields", FORGERIES, ids=str)
def test_a_container_that_runs_something_else_or_with_other_rights_is_refused(name: str, fields: Json) -> None:
    (fault,) = faults(spoilt(name, **fields))
    (field,) = fields
    assert fault.reason == "counterfeit-container"
    assert fault.message == (
        f"container '{name}': its {field} is not the mesh's; the name is the mesh's: remove it, or run "
        "`injector uninject` on the manifest"
    )


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("right", "value"),
    [
        ("allowPrivilegeEscalation", True),
        ("privileged", True),
        ("readOnlyRootFilesystem", False),
        ("runAsUser", 1),
        ("runAsGroup", 1),
        ("runAsNonRoot", None),
        ("seccompProfile", {"type": "Unconfined"}),
        ("capabilities", {"add": ["SYS_ADMIN"], "drop": ["ALL"]}),
        ("capabilities", {}),
        ("appArmorProfile", {"type": "Unconfined"}),
        ("procMount", "Unmasked"),
    ],
)
def test_not_one_right_may_differ(name: str, right: str, value: Any) -> None:
    security = {**named(injected(pod())["spec"]["initContainers"], name)["securityContext"], right: value}
    assert reasons(spoilt(name, securityContext=security)) == ["counterfeit-container"]


def test_the_init_container_ends_and_the_proxy_does_not() -> None:
    assert "its restartPolicy is not the mesh's" in messages(spoilt("injector-init", restartPolicy="Always"))
    assert "its restartPolicy is not the mesh's" in messages(spoilt("injector-proxy", restartPolicy=None))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("variable", ["LD_PRELOAD", "LD_AUDIT", "SSLKEYLOGFILE"])
def test_a_variable_that_turns_the_proxy_against_its_pod_is_refused(name: str, variable: str) -> None:
    env = named(injected(pod())["spec"]["initContainers"], name)["env"]
    said = messages(spoilt(name, env=[*env, {"name": variable, "value": "/x"}]))
    assert said.startswith(f"container '{name}': its variable '{variable}' ")


def test_everything_that_is_forged_is_told_at_once() -> None:
    patched = spoilt("injector-proxy", image="x", command=["y"])
    init_of(patched)["args"] = []
    patched["spec"]["volumes"][0]["emptyDir"] = {}
    assert reasons(patched) == ["counterfeit-container"] * 3 + ["counterfeit-volume"]


class TestPlaces:
    @pytest.mark.parametrize("name", OURS)
    @pytest.mark.parametrize("group", ["containers", "ephemeralContainers"])
    @pytest.mark.parametrize("start", [pod, lambda: injected(pod())], ids=["plain", "injected"])
    def test_our_containers_stand_among_init_containers(self, name: str, group: str, start: Callable[[], Json]) -> None:
        subject = start()
        subject["spec"][group] = [*subject["spec"].get(group, ()), container(name)]
        (fault,) = faults(subject)
        assert fault.message == (
            f"container '{name}': it stands among {group}, and the mesh's stands among initContainers; the name is the "
            "mesh's: remove or rename it"
        )

    @pytest.mark.parametrize("name", OURS)
    def test_and_each_only_once(self, name: str) -> None:
        patched = injected(pod())
        patched["spec"]["initContainers"].append(named(patched["spec"]["initContainers"], name))
        assert "it stands there twice" in messages(patched)

    @pytest.mark.parametrize(
        "name", ["Injector-Proxy", "injector-proxy ", "injector_proxy", "injector-proxy-2", "injector"]
    )
    def test_names_that_are_not_quite_ours_are_the_pods_own(self, name: str) -> None:
        patched = injected(pod(container(name)))
        assert patched["spec"]["containers"] == [container(name)]
        assert len(patched["spec"]["initContainers"]) == 2


class TestVolumes:
    @pytest.mark.parametrize(
        "volume",
        [
            {"name": "injector-identity", "hostPath": {"path": "/"}},
            {"name": "injector-identity", "emptyDir": {}},
            {"name": "injector-identity", "emptyDir": {"medium": "Memory"}},
            {"name": "injector-identity"},
            {"name": "injector-token", "secret": {"secretName": "other"}},
            {"name": "injector-token", "csi": {"driver": "tokens.example.com"}},
            {"name": "injector-token", "projected": {"defaultMode": 420, "sources": []}},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("start", [pod, lambda: injected(pod())], ids=["plain", "injected"])
    def test_a_volume_of_our_name_with_something_else_in_it_is_refused(
        self, volume: Json, start: Callable[[], Json]
    ) -> None:
        subject = start()
        others = [it for it in subject["spec"].get("volumes", ()) if it["name"] != volume["name"]]
        subject["spec"]["volumes"] = [*others, volume]
        (fault,) = faults(subject)
        assert fault.reason == "counterfeit-volume"
        assert fault.message == (
            f"volume '{volume['name']}' is not the one that the mesh adds; the name is the mesh's: remove or rename "
            "it, or run `injector uninject` on the manifest if another release of the mesh injected it"
        )

    @pytest.mark.parametrize(
        ("field", "value"),
        [("audience", ""), ("audience", "https://kubernetes.default.svc"), ("expirationSeconds", 86400), ("path", "x")],
    )
    def test_not_even_its_token_may_differ(self, field: str, value: Any) -> None:
        patched = injected(pod())
        token = named(patched["spec"]["volumes"], "injector-token")
        token["projected"]["sources"][0]["serviceAccountToken"][field] = value
        assert reasons(patched) == ["counterfeit-volume"]

    def test_what_an_earlier_release_added_is_refused_and_uninjected_and_then_taken(self) -> None:
        patched = injected(pod())
        identity, token = patched["spec"]["volumes"]
        identity["emptyDir"]["sizeLimit"] = "1Mi"
        del token["projected"]["sources"][1]
        assert reasons(patched) == ["counterfeit-volume"] * 2
        assert injected(uninject(patched)) == injected(pod())

    def test_twice_the_same_is_one_too_many(self) -> None:
        patched = injected(pod())
        patched["spec"]["volumes"].append(patched["spec"]["volumes"][0])
        assert reasons(patched) == ["counterfeit-volume"]

    def test_the_very_volume_alone_is_taken_as_it_is(self) -> None:
        volumes = injected(pod())["spec"]["volumes"]
        assert injected(pod(volumes=volumes[:1]))["spec"]["volumes"] == volumes


class TestRepair:
    """What others touch in good faith is set right, and a pod that is right again is left alone."""

    def repaired(self, subject: Json) -> tuple[str, ...]:
        warnings = expect(Injected, review(subject)).warnings
        again = injected(subject)
        assert again["spec"]["initContainers"] == injected(pod())["spec"]["initContainers"]
        assert review(again) == ALREADY
        return warnings

    @pytest.mark.parametrize("name", OURS)
    @pytest.mark.parametrize("entries", [[], None, [{"name": "INJECTOR_PROBES", "value": "[]"}] * 2], ids=str)
    def test_variables_are_written_again(self, name: str, entries: Any) -> None:
        self.repaired(spoilt(name, env=entries))

    def test_rules_that_somebody_changed_are_written_again(self) -> None:
        patched = injected(pod())
        named(init_of(patched)["env"], "INJECTOR_IPTABLES_RULES")["value"] = "*nat\nCOMMIT\n"
        self.repaired(patched)

    @pytest.mark.parametrize("name", OURS)
    @pytest.mark.parametrize("mounts", [None, [], [{"name": "data", "mountPath": "/", "subPath": "x"}]], ids=str)
    def test_mounts_are_written_again(self, name: str, mounts: Any) -> None:
        self.repaired(spoilt(name, volumeMounts=mounts))

    @pytest.mark.parametrize(
        "resources", [None, {}, {"requests": {"cpu": "64"}}, {"claims": [{"name": "gpu"}]}], ids=str
    )
    def test_resources_are_written_again(self, resources: Any) -> None:
        self.repaired(spoilt("injector-proxy", resources=resources))

    def test_a_variable_and_a_mount_of_others_are_removed_with_a_warning(self) -> None:
        patched = injected(pod())
        proxy_of(patched)["env"].append({"name": "HTTP_PROXY", "value": "x"})
        init_of(patched)["volumeMounts"].append({"name": "host", "mountPath": "/host"})
        assert self.repaired(patched) == (
            "container injector-init: removed '/host' (volumeMounts), which the mesh did not add",
            "container injector-proxy: removed 'HTTP_PROXY' (env), which the mesh did not add",
        )

    @pytest.mark.parametrize("lost", OURS)
    def test_a_container_that_was_lost_comes_back(self, lost: str) -> None:
        patched = injected(pod())
        patched["spec"]["initContainers"].remove(named(patched["spec"]["initContainers"], lost))
        self.repaired(patched)

    @pytest.mark.parametrize("lost", [0, 1])
    def test_a_volume_that_was_lost_comes_back(self, lost: int) -> None:
        patched = injected(pod())
        del patched["spec"]["volumes"][lost]
        self.repaired(patched)

    def test_new_settings_are_written_over_old_ones(self) -> None:
        old = injected(pod(), namespace=Namespace("shop", annotations=annotated(log_level="debug")))
        self.repaired(old)


@pytest.mark.parametrize(
    "fields",
    [
        {"imagePullPolicy": "Always"},  # AlwaysPullImages
        {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]},  # in-place resizing
        {"resources": {"requests": {"cpu": "0.01", "memory": "16384Ki"}}},  # another notation
        {"resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1"}}},  # LimitRanger
        {"resources": {"requests": {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "1Gi"}, "limits": None}},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", OURS)
def test_what_the_api_server_fills_in_needs_no_repair(name: str, fields: Json) -> None:
    assert review(spoilt(name, **fields)) == ALREADY


class TestForgedProbes:
    """The proxy's variable says what the pod's probes were; whoever can write it could have written the probes."""

    def forged(self, declarations: str) -> Json:
        patched = injected(pod(container(livenessProbe={"tcpSocket": {"port": 80}})))
        named(proxy_of(patched)["env"], "INJECTOR_PROBES")["value"] = declarations
        return patched

    def test_another_declaration_is_as_if_the_pod_had_declared_that(self) -> None:
        declared = '[{"path":"/probes/web/livenessProbe","handler":{"httpGet":{"port":81,"host":"10.0.0.9"}}}]'
        mine = pod(container(livenessProbe={"httpGet": {"port": 81, "host": "10.0.0.9"}}))
        assert injected(self.forged(declared)) == injected(mine)

    def test_a_declaration_on_the_proxys_ports_is_refused(self) -> None:
        declared = '[{"path":"/probes/web/livenessProbe","handler":{"httpGet":{"port":4191}}}]'
        assert reasons(self.forged(declared)) == ["port-collision"]

    @pytest.mark.parametrize("declarations", ["", "[]", "x", '[{"path":"/probes/web/livenessProbe"}]'])
    def test_a_probe_that_nobody_declares_any_more_is_refused_for_the_port_that_it_asks(
        self, declarations: str
    ) -> None:
        assert messages(self.forged(declarations)).startswith("container 'web': its livenessProbe asks port 4191")


def test_a_pod_of_another_installation_is_a_counterfeit_here() -> None:
    other = type(INSTALLATION)(proxy_image="ghcr.io/injector-mesh/proxy:9.9.9")
    assert "its image is not the mesh's" in messages(injected(pod(), installation=other))
