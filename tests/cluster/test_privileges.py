"""What the added containers may do, seen from inside the pod and not from its manifest."""

import base64
import json
from typing import Final

import pytest

from injector.inject.names import (
    CONTAINERS,
    INIT_CONTAINER,
    MESH_KEY,
    PROXY_CONTAINER,
    PROXY_UID,
    ROOTS_KEY,
    TOKEN_AUDIENCE,
)
from injector.inject.presence import env_value, redirection_container
from injector.inject.sidecar import API_TOKEN_MOUNT
from tests.cluster.support import pods
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Sandbox

FILTERED: Final = "2"
"""/proc/PID/status, Seccomp: a filter is in force (proc(5))."""

EVERYTHING_SKIPPED: Final = {
    "injector.mesh/skip-inbound-ports": ",".join(map(str, range(10001, 10041, 2))),
    "injector.mesh/skip-outbound-ports": "25,3306,5000-5010",
    "injector.mesh/skip-inbound-subnets": "192.0.2.0/24,2001:db8::/32",
    "injector.mesh/skip-outbound-subnets": "198.51.100.0/24,203.0.113.7,2001:db8:1::1",
}


def test_the_running_proxy_has_no_privilege_and_cannot_be_dumped(meshed: Sandbox) -> None:
    (pod,) = meshed.start(pods.pod("watched", pods.spec(shareProcessNamespace=True)))

    proxy = pod.app_json("process", PROXY_CONTAINER)

    assert {proxy[field] for field in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert proxy["NoNewPrivs"] == "1"
    assert proxy["Seccomp"] == FILTERED
    assert proxy["Uid"].split() == proxy["Gid"].split() == [str(PROXY_UID)] * 4
    # What is not dumpable belongs to root in /proc; whatever is dumpable, to its own user.
    assert proxy["statusOwner"] == "0"
    application = pod.app_json("process", "app")
    assert application["CapEff"] != "0" * 16, "the application has privileges, so that their absence is no accident"


def test_the_applications_api_token_is_not_in_our_containers(meshed: Sandbox) -> None:
    may_look = {"capabilities": {"add": ["SYS_PTRACE"]}}
    spec = pods.spec(pods.container(securityContext=may_look), shareProcessNamespace=True)
    (pod,) = meshed.start(pods.pod("watched", spec))
    pid = pod.app_json("process", PROXY_CONTAINER)["pid"]

    seen = pod.app_json("files", f"/proc/{pid}/root{API_TOKEN_MOUNT}")
    audience = _audience(pod.app("print", f"/proc/{pid}/root{API_TOKEN_MOUNT}/token"))

    assert "token" in pod.app_json("files", API_TOKEN_MOUNT), "the application itself has one"
    assert {name for name in seen if not name.startswith("..")} == {"token", ROOTS_KEY, MESH_KEY}
    assert audience == [TOKEN_AUDIENCE]
    for container in pod.object["spec"]["initContainers"]:
        if container["name"] in CONTAINERS:
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert not any(name.startswith("kube-api-access") for name in mounted), container["name"]


def _audience(token: str) -> list[str]:
    """The `aud` of a JSON Web Token."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return list(claims["aud"])


def test_only_the_init_container_may_change_the_network(meshed: Sandbox) -> None:
    (pod,) = meshed.start(pods.pod("listed"))

    contexts = {each["name"]: each["securityContext"] for each in pod.object["spec"]["initContainers"]}

    assert contexts[INIT_CONTAINER]["capabilities"] == {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}
    assert contexts[PROXY_CONTAINER]["capabilities"] == {"drop": ["ALL"]}
    for context in contexts.values():
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("annotations", [{}, EVERYTHING_SKIPPED], ids=["default", "everything skipped"])
def test_the_rules_in_the_pod_are_the_text_in_its_manifest(annotations: dict[str, str], meshed: Sandbox) -> None:
    (first,) = meshed.start(pods.pod("first"))
    back_end = "nft" if "nft" in first.logs(INIT_CONTAINER) else "legacy"
    spec = pods.spec(
        initContainers=[_reader("v4", f"iptables-{back_end}-save"), _reader("v6", f"ip6tables-{back_end}-save")]
    )
    for reader in spec["initContainers"]:
        reader["image"] = _image(first.object)

    (pod,) = meshed.start(pods.pod("read", spec, annotations=annotations))

    init = redirection_container(pod.object)
    assert init is not None
    for reader, variable in (("v4", "INJECTOR_IPTABLES_RULES"), ("v6", "INJECTOR_IP6TABLES_RULES")):
        saved = [line for line in pod.logs(reader).splitlines() if line.startswith("-A ")]
        given = [line for line in env_value(init, variable).splitlines() if line.startswith("-A ")]
        assert saved == given
        assert len(given) > 5


def _reader(name: str, program: str) -> Json:
    """An init container after ours that prints the nat table of its pod's network namespace."""
    may = {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
    return {"name": name, "command": [program, "-t", "nat"], "imagePullPolicy": "IfNotPresent", "securityContext": may}


def _image(pod: Json) -> str:
    init = redirection_container(pod)
    assert init is not None
    return str(init["image"])
