"""The patch of one plain pod in full, and what each knob changes of it; the redirection rules of each knob in full."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jsonpatch
import pytest

from injector.inject.annotations import SETTINGS
from injector.inject.installation import Installation
from injector.inject.model import Json, Namespace, Workload
from injector.inject.redirect import describe, rules
from injector.inject.review import Injected, Review, Skipped
from injector.inject.settings import resolve
from tests.inject.apiserver import complaints, stored
from tests.inject.golden import ROOT, agree, difference, to_yaml
from tests.inject.objects import (
    INSTALLATION,
    SHOP,
    annotated,
    container,
    expect,
    init_of,
    injected,
    pod,
    proxy_of,
    review,
)

PATCHES, RULES = ROOT / "patch", ROOT / "rules"


@dataclass(frozen=True)
class Knob:
    """One thing that differs from the plain case; none for the plain case itself."""

    subject: Json = field(default_factory=pod)
    namespace: Namespace = SHOP
    installation: Installation = INSTALLATION
    workload: Workload | None = None

    def review(self) -> Review:
        return review(self.subject, self.namespace, self.installation, workload=self.workload)


def on_pod(**words: str) -> Knob:
    return Knob(pod(annotations=annotated(**words)))


def installed(**settings: Any) -> Knob:
    return Knob(installation=replace(INSTALLATION, **settings))


def probed(**fields: Any) -> Knob:
    return Knob(pod(container(**fields)))


def limited(limits: Json, requests: Json) -> Knob:
    return Knob(pod(container(resources={"limits": limits, "requests": requests})))


BOTH = {"cpu": "2", "memory": "1Gi"}
SKIPS = {
    "skip-inbound-ports": "9000,9100-9110",
    "skip-outbound-ports": "25,3306,5000-5010",
    "skip-inbound-ports-more-than-15": ",".join(str(port) for port in range(1000, 1040, 2)),
    "skip-inbound-subnets-v4": "10.0.0.0/8,192.0.2.7",
    "skip-inbound-subnets-v6": "fd00::/8",
    "skip-outbound-subnets-v4": "10.0.0.0/8,192.0.2.7",
    "skip-outbound-subnets-v6": "2001:db8::/32,::1",
    "skip-outbound-subnets-all": "0.0.0.0/0,::/0",
}


def skip(name: str, text: str) -> Mapping[str, str]:
    key = name.removesuffix("-more-than-15").removesuffix("-v4").removesuffix("-v6").removesuffix("-all")
    return {f"injector.mesh/{key}": text}


KNOBS = {
    **{name: Knob(pod(annotations=skip(name, text))) for name, text in SKIPS.items()},
    "log-level": on_pod(log_level="debug"),
    "log-format": on_pod(log_format="json"),
    "proxy-cpu-request": on_pod(proxy_cpu_request="100m"),
    "proxy-cpu-limit": on_pod(proxy_cpu_limit="1500m"),
    "proxy-memory-request": on_pod(proxy_memory_request="32Mi"),
    "proxy-memory-limit": on_pod(proxy_memory_limit="128Mi"),
    "proxy-requests-none": on_pod(proxy_cpu_request="", proxy_memory_request=""),
    "opaque-ports": on_pod(opaque_ports="3306,5000-5010"),
    "default-inbound-policy": on_pod(default_inbound_policy="cluster-authenticated"),
    "unknown-destinations": on_pod(unknown_destinations="refuse"),
    "shutdown-grace": on_pod(shutdown_grace="5m"),
    "namespace-annotation": Knob(namespace=Namespace("shop", annotations=annotated(log_level="warn"))),
    "installation-proxy-image": installed(proxy_image="registry.example:5000/proxy@sha256:" + "0" * 64),
    "installation-image-pull-policy": installed(image_pull_policy="Always"),
    "installation-image-pull-secret": installed(image_pull_secret="regcred"),
    "installation-proxy-uid": installed(proxy_uid=7777),
    "installation-extra-env": installed(extra_env={"TZ": "UTC", "RUST_BACKTRACE": "1"}),
    "installation-defaults": installed(defaults={"log-level": "warn"}),
    "workload": Knob(workload=Workload("Deployment", "web")),
    "pod-init-containers": Knob(pod(initContainers=[container("wait")])),
    "pod-volumes": Knob(pod(volumes=[{"name": "data", "emptyDir": {}}])),
    "pod-empty-lists": Knob(pod(initContainers=[], volumes=[], imagePullSecrets=[])),
    "pod-guaranteed": limited(BOTH, BOTH),
    "pod-limits": limited(BOTH, {"cpu": "1"}),
    "pod-small-limits": limited({"cpu": "200m", "memory": "96Mi"}, {"cpu": "1m"}),
    "pod-level-resources": Knob(pod(resources={"limits": BOTH})),
    "pod-no-service-account-token": Knob(pod(automountServiceAccountToken=False)),
    "pod-run-as-non-root": Knob(pod(securityContext={"runAsNonRoot": True, "runAsUser": 1000})),
    "pod-dns-none": Knob(pod(dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.53"]})),
    "probe-http": probed(livenessProbe={"httpGet": {"port": 8080, "path": "/health"}, "periodSeconds": 5}),
    "probe-http-every-field": probed(
        readinessProbe={
            "httpGet": {
                "scheme": "HTTPS",
                "host": "10.1.2.3",
                "port": 8443,
                "path": "/ready?full=$(X)",
                "httpHeaders": [{"name": "Host", "value": "shop.example"}],
            },
            "timeoutSeconds": 5,
            "failureThreshold": 1,
        }
    ),
    "probe-named-port": probed(
        ports=[{"name": "http", "containerPort": 8080}], startupProbe={"httpGet": {"port": "http"}}
    ),
    "probe-tcp": probed(livenessProbe={"tcpSocket": {"port": 6379}}),
    "probe-grpc": probed(livenessProbe={"grpc": {"port": 9000, "service": "shop.Cart"}}),
    "probe-exec": probed(livenessProbe={"exec": {"command": ["true"]}}),
    "hook-post-start": probed(lifecycle={"postStart": {"httpGet": {"port": 8080, "path": "/warm"}}}),
    "hook-pre-stop": probed(lifecycle={"preStop": {"httpGet": {"port": 8080, "path": "/drain"}}}),
    "hook-exec": probed(lifecycle={"preStop": {"exec": {"command": ["sync"]}}}),
}


def _moved(patched: Json) -> None:
    patched["spec"]["initContainers"].reverse()


def _touched(patched: Json) -> None:
    proxy_of(patched)["env"].append({"name": "HTTP_PROXY", "value": "http://10.0.0.1"})


def _bereft(patched: Json) -> None:
    patched["spec"]["initContainers"].remove(init_of(patched))
    del patched["spec"]["volumes"][0]


def _grown(patched: Json) -> None:
    patched["spec"]["containers"].append(container("agent", livenessProbe={"tcpSocket": {"port": 99}}))


REPAIRS: Mapping[str, Callable[[Json], None]] = {
    "repair-order": _moved,
    "repair-variable-added": _touched,
    "repair-container-and-volume-lost": _bereft,
    "repair-container-with-probe-added": _grown,
}


def patch_text(reviewed: Review) -> str:
    accepted = expect(Injected, reviewed)
    warnings = "".join(f"# warning: {warning}\n" for warning in accepted.warnings)
    return warnings + to_yaml(accepted.operations)


def test_the_plain_patch() -> None:
    agree(PATCHES / "base.yaml", patch_text(Knob().review()))


@pytest.mark.parametrize("name", KNOBS)
def test_what_a_knob_changes_of_the_plain_patch(name: str) -> None:
    change = difference(patch_text(Knob().review()), patch_text(KNOBS[name].review()), name)
    agree(PATCHES / f"{name}.diff", change)


@pytest.mark.parametrize("name", KNOBS)
def test_the_api_server_takes_what_a_knob_gives_and_gives_it_back_as_it_was(name: str) -> None:
    knob = KNOBS[name]
    patched = jsonpatch.apply_patch(knob.subject, expect(Injected, knob.review()).operations)
    assert complaints(patched) == []
    expect(Skipped, replace(knob, subject=stored(patched)).review())


@pytest.mark.parametrize("name", REPAIRS)
def test_what_a_repair_does(name: str) -> None:
    spoilt = injected(pod())
    REPAIRS[name](spoilt)
    operations = expect(Injected, review(spoilt)).operations
    agree(PATCHES / f"{name}.txt", "".join(f"{it['op']} {it['path']}{_names(it['value'])}\n" for it in operations))


def _names(value: Any) -> str:
    entries = value if isinstance(value, list) else [value]
    return "".join(f" {entry['name']}" for entry in entries if "name" in entry)


RULE_KNOBS = {"base": {}, **{name: skip(name, text) for name, text in SKIPS.items()}}


@pytest.mark.parametrize("name", RULE_KNOBS)
def test_the_rules_of_a_knob_in_full(name: str) -> None:
    settings = resolve(RULE_KNOBS[name], {}, {}).settings
    agree(RULES / f"{name}.v4", rules(settings, "v4", proxy_uid=2102))
    agree(RULES / f"{name}.v6", rules(settings, "v6", proxy_uid=2102))
    agree(RULES / f"{name}.words", "".join(f"{words}\n" for words in describe(settings, proxy_uid=2102)))


def test_every_annotation_has_a_knob() -> None:
    used = {key for knob in KNOBS.values() for key in knob.subject["metadata"].get("annotations", ())}
    assert used == {key.annotation for key in SETTINGS}


def test_no_golden_file_is_left_over() -> None:
    asked = {"patch/base.yaml", *(f"patch/{name}.diff" for name in KNOBS), *(f"patch/{name}.txt" for name in REPAIRS)}
    asked |= {f"rules/{name}.{kind}" for name in RULE_KNOBS for kind in ("v4", "v6", "words")}
    kept = {
        file.relative_to(ROOT).as_posix() for folder in (PATCHES, RULES) for file in folder.rglob("*") if file.is_file()
    }
    assert kept == asked
