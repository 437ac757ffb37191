"""Anything may be sent to the webhook or stand in a file. What has not a pod's shape is refused, field by field."""

import copy
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.inject.refusal import RefusalReason
from injector.inject.review import Injected, Refused, Skipped
from injector.inject.shape import shape_faults
from injector.inject.uninject import uninject
from tests.inject.objects import annotated, container, faults, injected, pod, review
from tests.inject.strategies import pods


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        (None, "pod: expected an object, got nothing"),
        ("pod", "pod: expected an object, got a text"),
        ([], "pod: expected an object, got a list"),
        ({}, "spec: expected an object, got nothing"),
        ({"spec": []}, "spec: expected an object, got a list"),
        (pod() | {"metadata": 1}, "metadata: expected an object, got a whole number"),
        (pod() | {"metadata": {"annotations": []}}, "metadata.annotations: expected an object, got a list"),
        (
            pod() | {"metadata": {"annotations": {"injector.mesh/shutdown-grace": 30}}},
            "metadata.annotations['injector.mesh/shutdown-grace']: expected a text (in quotes), got a whole number",
        ),
        (
            pod() | {"metadata": {"labels": {"on": True}}},
            "metadata.labels['on']: expected a text (in quotes), got true or false",
        ),
        (
            pod() | {"metadata": {"annotations": {"a": None}}},
            "metadata.annotations['a']: expected a text (in quotes), got nothing",
        ),
        (
            pod() | {"metadata": {"ownerReferences": {}}},
            "metadata.ownerReferences: expected a list of objects, got an obj",
        ),
        (
            pod() | {"metadata": {"ownerReferences": [1]}},
            "metadata.ownerReferences[0]: expected an object, got a whole",
        ),
        ({"spec": {}}, "spec.containers: expected at least one container"),
        ({"spec": {"containers": []}}, "spec.containers: expected at least one container"),
        ({"spec": {"containers": {"a": {}}}}, "spec.containers: expected a list of objects, got an object"),
        (pod(container(), None), "spec.containers[1]: expected an object, got nothing"),  # type: ignore[arg-type]
        (pod({}), "spec.containers[0].name: expected a text, got nothing"),
        (pod(container(name=7)), "spec.containers[0].name: expected a text, got a whole number"),  # type: ignore[arg-type]
        (pod(initContainers=[{"name": []}]), "spec.initContainers[0].name: expected a text, got a list"),
        (pod(initContainers="x"), "spec.initContainers: expected a list of objects, got a text"),
        (pod(ephemeralContainers=[{"name": {}}]), "spec.ephemeralContainers[0].name: expected a text, got an object"),
        (pod(volumes=[{"name": {}}]), "spec.volumes[0].name: expected a text, got an object"),
        (pod(volumes=[{}]), "spec.volumes[0].name: expected a text, got nothing"),
        (pod(imagePullSecrets=["regcred"]), "spec.imagePullSecrets[0]: expected an object, got a text"),
        (pod(hostNetwork="false"), "spec.hostNetwork: expected true or false, got a text"),
        (pod(hostNetwork=1), "spec.hostNetwork: expected true or false, got a whole number"),
        (pod(os="windows"), "spec.os: expected an object, got a text"),
        (pod(nodeSelector=[]), "spec.nodeSelector: expected an object, got a list"),
        (pod(securityContext=0), "spec.securityContext: expected an object, got a whole number"),
        (
            pod(securityContext={"runAsUser": "2102"}),
            "spec.securityContext.runAsUser: expected a whole number, got a t",
        ),
        (pod(securityContext={"runAsUser": True}), "spec.securityContext.runAsUser: expected a whole number, got true"),
        (
            pod(container(securityContext={"runAsUser": 2102.0})),
            "spec.containers[0].securityContext.runAsUser: expected",
        ),
        (pod(resources={"limits": []}), "spec.resources.limits: expected an object, got a list"),
        (
            pod(container(resources={"requests": "1"})),
            "spec.containers[0].resources.requests: expected an object, got a",
        ),
        (pod(container(ports={})), "spec.containers[0].ports: expected a list of objects, got an object"),
        (
            pod(container(ports=[{"containerPort": "4191"}])),
            "spec.containers[0].ports[0].containerPort: expected a whole",
        ),
        (
            pod(container(ports=[{"containerPort": True}])),
            "spec.containers[0].ports[0].containerPort: expected a whole",
        ),
        (pod(container(ports=[{}])), "spec.containers[0].ports[0].containerPort: expected a whole number, got nothing"),
        (pod(container(env=[{"value": "x"}])), "spec.containers[0].env[0].name: expected a text, got nothing"),
        (
            pod(container(volumeMounts=[{"name": []}])),
            "spec.containers[0].volumeMounts[0].name: expected a text, got a l",
        ),
        (pod(container(volumeMounts=[{"name": "x"}])), "spec.containers[0].volumeMounts[0].mountPath: expected a text"),
        (pod(container(lifecycle=[])), "spec.containers[0].lifecycle: expected an object, got a list"),
    ],
)
def test_a_field_of_another_type_is_told_with_its_place(subject: Any, fault: str) -> None:
    told = shape_faults(subject)
    assert any(message.startswith(fault) for message in told), told


def test_a_malformed_pod_is_refused_with_everything_that_is_wrong() -> None:
    broken = pod(container(ports=[{}], env=5), hostNetwork="no", volumes=[{}])
    broken["metadata"] = {"annotations": {"a": 1, "b": 2}}
    told = faults(broken)
    assert len(told) == 6
    assert {fault.reason for fault in told} == {RefusalReason.MALFORMED_POD}


@given(pods())
def test_valid_pods_have_the_shape_of_one(subject: Any) -> None:
    assert shape_faults(subject) == []


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(("injector-proxy", "injector-init", "injector-token", "enabled", "Always", "4191", "\ud800"))
)
WORDS = """metadata spec annotations labels ownerReferences controller kind name generateName containers initContainers
    ephemeralContainers volumes volumeMounts mountPath imagePullSecrets securityContext runAsUser resources limits
    requests cpu memory ports containerPort protocol env value livenessProbe httpGet tcpSocket grpc port path lifecycle
    preStop postStart hostNetwork os nodeSelector injector.mesh/inject injector.mesh/log-level"""
FIELDS = st.text(max_size=4) | st.sampled_from(re.findall(r"\S+", WORDS))
GARBAGE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=25,
)


@given(GARBAGE)
def test_garbage_is_answered(garbage: Any) -> None:
    assert isinstance(review(garbage), Injected | Refused | Skipped)
    uninject(garbage)


@st.composite
def spoilt_pods(draw: st.DrawFn) -> Any:
    """A pod, injected or not, in which one value or more is replaced by something else."""
    subject = draw(pods())
    root: Any = {"pod": injected(subject) if draw(st.booleans()) else copy.deepcopy(subject)}
    for _ in range(draw(st.integers(1, 3))):
        holder, field, place = root, cast("Any", "pod"), root["pod"]
        while isinstance(place, dict | list) and place and draw(st.integers(0, 5)):
            holder = place
            field = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            place = holder[field]
        holder[field] = draw(GARBAGE)
    return root["pod"]


@given(spoilt_pods())
def test_a_pod_spoilt_anywhere_is_answered(subject: Any) -> None:
    assert isinstance(review(subject), Injected | Refused | Skipped)
    uninject(subject)


def test_depth_that_our_readers_allow_is_answered() -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"x": deep}
    subject = pod(container(livenessProbe={"httpGet": {"port": 80, "x": deep}}), annotations=annotated(), x=deep)
    assert isinstance(review(subject), Injected)
    assert uninject(subject) == subject
