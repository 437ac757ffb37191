"""What cannot stand beside a proxy is refused, each thing with its reason, and all things at once."""

import pytest

from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace
from injector.inject.refusal import MOST_MESSAGE, Fault, RefusalReason, listed
from injector.inject.review import Injected, Refused, Skipped, review_pod
from injector.inject.shape import AND_MORE, MOST_FAULTS
from tests.inject.objects import (
    INSTALLATION,
    annotated,
    container,
    expect,
    faults,
    injected,
    messages,
    pod,
    reasons,
    review,
)

PROXY_PORTS = (4140, 4143, 4190, 4191)


def listening(port: int, **fields: object) -> Json:
    return container(ports=[{"containerPort": port, **fields}])


class TestPorts:
    @pytest.mark.parametrize("port", PROXY_PORTS)
    @pytest.mark.parametrize("protocol", [{}, {"protocol": "TCP"}, {"protocol": None}, {"protocol": ""}], ids=str)
    def test_a_container_cannot_listen_on_the_proxys(self, port: int, protocol: Json) -> None:
        assert messages(pod(listening(port, **protocol))) == (
            f"container 'web' listens on port {port}, which is the proxy's (its ports: 4140, 4143, 4190, 4191); "
            "choose another"
        )

    @pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
    def test_other_protocols_do_not_collide(self, protocol: str) -> None:
        injected(pod(listening(4191, protocol=protocol)))

    def test_the_ports_of_the_node_do_not_collide(self) -> None:
        injected(pod(listening(80, hostPort=4191)))

    def test_an_init_containers_ports_collide_too(self) -> None:
        assert reasons(pod(initContainers=[listening(4143)])) == ["port-collision"]

    @pytest.mark.parametrize(
        "probe", [{"tcpSocket": {"port": 4191}}, {"httpGet": {"port": "4143"}}, {"grpc": {"port": 4190}}], ids=str
    )
    def test_a_probe_cannot_ask_the_proxy_in_the_applications_place(self, probe: Json) -> None:
        (fault,) = faults(pod(container(readinessProbe=probe)))
        assert fault.reason is RefusalReason.PORT_COLLISION
        assert fault.message.startswith("container 'web': its readinessProbe asks port 41")
        assert fault.message.endswith("which is the proxy's (its ports: 4140, 4143, 4190, 4191), not the application's")

    def test_nor_can_a_hook_or_a_port_by_name(self) -> None:
        hook = container(lifecycle={"preStop": {"httpGet": {"port": 4191}}})
        assert "its preStop asks port 4191" in messages(pod(hook))
        by_name = container(ports=[{"name": "x", "containerPort": 4190}], livenessProbe={"tcpSocket": {"port": "x"}})
        assert reasons(pod(by_name)) == ["port-collision", "port-collision"]


class TestOutOfPlace:
    """Our containers in a pod that may not have them: the skip alone would let them run."""

    def test_on_the_nodes_network_the_rules_would_take_the_nodes_connections(self) -> None:
        subject = injected(pod())
        subject["spec"]["hostNetwork"] = True
        assert messages(subject) == (
            "the mesh's containers cannot stay in this pod, for it uses the node's network, whose connections must not "
            "be redirected; run `injector uninject` on its manifest, and annotate it injector.mesh/inject: disabled"
        )

    def test_another_mesh_that_comes_afterwards_is_not_let_in_beside_ours(self) -> None:
        subject = injected(pod())
        subject["spec"]["containers"].append(container("istio-proxy"))
        (fault,) = faults(subject)
        assert fault.reason is RefusalReason.OUT_OF_PLACE
        assert "for it has another mesh's sidecar; two redirections of one connection do not work" in fault.message

    def test_a_pod_that_opted_out_is_left_to_itself(self) -> None:
        subject = injected(pod())
        subject["metadata"]["annotations"] = annotated(inject="disabled")
        subject["spec"]["hostNetwork"] = True
        assert expect(Skipped, review(subject)).reason == "disabled-on-pod"


class TestAfterwards:
    """What another webhook adds to an injected pod is held to the same rules."""

    @pytest.mark.parametrize(
        ("addition", "reason"),
        [
            ({"ports": [{"containerPort": 4191}]}, "port-collision"),
            ({"livenessProbe": {"tcpSocket": {"port": 4143}}}, "port-collision"),
            ({"securityContext": {"runAsUser": 2102}}, "uid-collision"),
            ({"volumeMounts": [{"name": "injector-token", "mountPath": "/x"}]}, "volume-mounted-elsewhere"),
        ],
        ids=str,
    )
    def test_a_container_that_cannot_stand_beside_a_proxy_is_refused(self, addition: Json, reason: str) -> None:
        subject = injected(pod())
        subject["spec"]["containers"].append(container("agent", **addition))
        assert reasons(subject) == [reason]


class TestUser:
    @pytest.mark.parametrize(
        "subject",
        [
            pod(container(securityContext={"runAsUser": 2102})),
            pod(initContainers=[container("wait", securityContext={"runAsUser": 2102})]),
            pod(securityContext={"runAsUser": 2102}),
            pod(container(securityContext={"runAsUser": None}), securityContext={"runAsUser": 2102}),
            pod(container(securityContext={"runAsUser": 2102}), securityContext={"runAsUser": 1}),
        ],
    )
    def test_nobody_runs_as_the_proxy(self, subject: Json) -> None:
        (fault,) = faults(subject)
        assert fault.reason is RefusalReason.UID_COLLISION
        assert fault.message.endswith(
            "runs as user 2102, which is the proxy's: its connections would bypass the mesh and it could read the "
            "proxy's key; choose another runAsUser"
        )

    def test_each_container_is_judged_by_its_own_word_first(self) -> None:
        injected(pod(container(securityContext={"runAsUser": 0}), securityContext={"runAsUser": 2102}))

    def test_the_proxys_user_is_the_installations(self) -> None:
        other = Installation(proxy_image=INSTALLATION.proxy_image, proxy_uid=777)
        expect(Injected, review(pod(securityContext={"runAsUser": 2102}), installation=other))
        assert reasons(pod(securityContext={"runAsUser": 777}), other) == ["uid-collision"]

    def test_a_group_of_that_number_is_nobody(self) -> None:
        injected(pod(securityContext={"runAsGroup": 2102, "fsGroup": 2102}))


class TestVolumes:
    @pytest.mark.parametrize("volume", ["injector-identity", "injector-token"])
    @pytest.mark.parametrize("group", ["containers", "initContainers", "ephemeralContainers"])
    def test_nobody_else_mounts_the_proxys_identity(self, volume: str, group: str) -> None:
        thief = container("thief", volumeMounts=[{"name": volume, "mountPath": "/x", "subPath": "token"}])
        subject = pod()
        subject["spec"][group] = [*(subject["spec"].get(group) or ()), thief]
        (fault,) = faults(subject)
        assert fault.reason is RefusalReason.VOLUME_MOUNTED_ELSEWHERE
        assert fault.message == (
            f"container 'thief' mounts volume '{volume}', which holds the proxy's identity and is the proxy's alone; "
            "remove the mount"
        )

    @pytest.mark.parametrize("group", ["containers", "initContainers", "ephemeralContainers"])
    def test_not_even_in_a_pod_that_is_injected_already(self, group: str) -> None:
        subject = injected(pod())
        thief = container("thief", volumeMounts=[{"name": "injector-identity", "mountPath": "/x"}])
        subject["spec"][group] = [*(subject["spec"].get(group) or ()), thief]
        assert reasons(subject) == ["volume-mounted-elsewhere"]

    def test_a_token_of_our_audience_in_a_volume_of_the_pods_own_is_its_own_right(self) -> None:
        source = {"serviceAccountToken": {"audience": "identity.injector.mesh", "path": "token"}}
        own = {"name": "mine", "projected": {"sources": [source]}}
        mounted = container(volumeMounts=[{"name": "mine", "mountPath": "/var/run/injector/token"}])
        assert own in injected(pod(mounted, volumes=[own]))["spec"]["volumes"]


BAD_VALUES = annotated(log_level="loud", shutdown_grace="forever", skip_inbound_subnets="10.0.0.1/8")


def test_a_bad_value_is_refused_with_key_value_and_what_was_expected() -> None:
    assert messages(pod(annotations=annotated(log_level="loud"))) == (
        "injector.mesh/log-level: expected trace, debug, info, warn or error, got 'loud'"
    )


@pytest.mark.parametrize("word", ["", "true", "Enabled", " enabled", "yes", "x" * 9999])
def test_a_word_that_neither_opts_in_nor_out_is_refused_wherever_it_arrives(word: str) -> None:
    subject = pod(annotations=annotated(inject=word))
    assert messages(subject).startswith("injector.mesh/inject: expected enabled or disabled, got ")
    assert not isinstance(review(subject, opted_in=False), Injected)


def test_a_bad_word_is_told_together_with_other_bad_values() -> None:
    assert reasons(pod(annotations=annotated(inject="yes") | BAD_VALUES)) == ["bad-value"] * 4


def test_everything_that_is_wrong_is_told_at_once() -> None:
    headers = [{"name": "X", "value": "x" * 100_000}]
    culprit = container(
        "injector-proxy",
        ports=[{"containerPort": 4191}],
        securityContext={"runAsUser": 2102},
        volumeMounts=[{"name": "injector-token", "mountPath": "/x"}],
        livenessProbe={"httpGet": {"port": 80, "httpHeaders": headers}},
    )
    subject = pod(culprit, annotations=BAD_VALUES, volumes=[{"name": "injector-token", "emptyDir": {}}])
    told = faults(subject)
    alone = {RefusalReason.MALFORMED_POD, RefusalReason.OUT_OF_PLACE}
    assert {fault.reason for fault in told} == set(RefusalReason) - alone
    assert len(told) == 9


def test_a_pod_that_does_not_want_a_proxy_may_do_as_it_likes() -> None:
    culprit = container("injector-proxy", ports=[{"containerPort": 4191}], securityContext={"runAsUser": 2102})
    assert not hasattr(review(pod(culprit, annotations=annotated(inject="disabled"))), "faults")
    assert not hasattr(review(pod(culprit), opted_in=False), "faults")


@pytest.mark.parametrize("reason", RefusalReason)
def test_every_reason_is_a_slug(reason: RefusalReason) -> None:
    assert reason == reason.name.lower().replace("_", "-")


class TestWhatIsTold:
    """Hostile pods have faults without number; what is told and kept of them is bounded."""

    def test_only_the_first_faults_are_listed_and_the_rest_is_mentioned(self) -> None:
        told = listed(Fault(RefusalReason.BAD_VALUE, f"fault {number}") for number in range(1000))
        assert len(told) == MOST_FAULTS + 1
        assert told[0].message == "fault 0"
        assert told[-1].message == AND_MORE

    def test_as_many_as_are_listed_are_listed_without_a_word_of_more(self) -> None:
        told = listed(Fault(RefusalReason.BAD_VALUE, "x") for _ in range(MOST_FAULTS))
        assert len(told) == MOST_FAULTS

    def test_a_long_message_is_cut(self) -> None:
        (told,) = listed([Fault(RefusalReason.BAD_VALUE, "x" * 100_000)])
        assert len(told.message) == MOST_MESSAGE + 1

    def test_no_faults_are_none(self) -> None:
        assert listed([]) == ()

    @pytest.mark.parametrize(
        "hostile",
        [
            {"spec": {"containers": [1] * 200_000}},
            {"metadata": {"ownerReferences": [1] * 200_000}, "spec": {"containers": [{"name": "a"}]}},
            {"spec": {"containers": [{"name": "a" * 100_000, "ports": [{"containerPort": 4140}] * 20_000}]}},
        ],
    )
    def test_a_pod_of_faults_costs_little_to_refuse(self, hostile: dict[str, object]) -> None:
        namespace = Namespace("shop", {}, {"injector.mesh/inject": "enabled"})
        review = review_pod(hostile, namespace, Installation(proxy_image="proxy:1"), opted_in=True)
        assert isinstance(review, Refused)
        assert sum(len(fault.message) for fault in review.faults) <= (MOST_FAULTS + 1) * (MOST_MESSAGE + 1)
