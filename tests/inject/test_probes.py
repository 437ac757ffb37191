"""Probes and hooks go to the proxy's admin port, and what the application declared goes to the proxy."""

import json
from typing import Any, Final

import pytest
from hypothesis import given

from injector.inject import probes
from injector.inject.model import Json
from tests.inject.objects import annotated, container, faults, injected, pod, told
from tests.inject.strategies import pods

NAMED_PORTS = [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9000, "protocol": "TCP"}]


def rewritten(probe: Json, field: str = "livenessProbe", **fields: Any) -> tuple[Json, Json]:
    """The probe as the injected pod has it, and what its proxy is told of it."""
    patched = injected(pod({**container(**fields), field: probe}))
    (declaration,) = json.loads(told(patched, "INJECTOR_PROBES"))
    return patched["spec"]["containers"][0][field], declaration


HANDLERS = [
    ({"httpGet": {"port": 8080}}, 8080),
    ({"httpGet": {"port": "http"}}, 8080),
    ({"httpGet": {"port": "8081"}}, 8081),  # the kubelet reads a number in quotes where no port has that name
    ({"httpGet": {"port": 443, "scheme": "HTTPS", "host": "10.0.0.1", "path": "/health?x=$(Y)"}}, 443),
    ({"httpGet": {"port": 80, "httpHeaders": [{"name": "Host", "value": "shop"}, {"name": "A", "value": ""}]}}, 80),
    ({"tcpSocket": {"port": 6379}}, 6379),
    ({"tcpSocket": {"port": "grpc", "host": "127.0.0.1"}}, 9000),
    ({"grpc": {"port": 9000, "service": "shop.Cart"}}, 9000),
    ({"grpc": {"port": 9000, "service": ""}}, 9000),
]


@pytest.mark.parametrize("field", probes.PROBE_FIELDS)
@pytest.mark.parametrize(("handler", "port"), HANDLERS)
def test_a_probe_is_performed_by_the_proxy(field: str, handler: Json, port: int) -> None:
    probe, declaration = rewritten({**handler, "periodSeconds": 7, "timeoutSeconds": 3}, field, ports=NAMED_PORTS)
    path = f"/probes/web/{field}"
    assert probe == {"periodSeconds": 7, "timeoutSeconds": 3, "httpGet": {"path": path, "port": 4191, "scheme": "HTTP"}}
    assert declaration == {"path": path, "port": port, "timeoutSeconds": 3, "handler": handler}


@pytest.mark.parametrize("field", probes.HOOK_FIELDS)
@pytest.mark.parametrize(("handler", "port"), HANDLERS[:5])
def test_a_http_hook_is_performed_by_the_proxy_without_a_limit_of_time(field: str, handler: Json, port: int) -> None:
    lifecycle, declaration = rewritten({field: handler}, "lifecycle", ports=NAMED_PORTS)
    path = f"/probes/web/{field}"
    assert lifecycle == {field: {"httpGet": {"path": path, "port": 4191, "scheme": "HTTP"}}}
    assert declaration == {"path": path, "port": port, "handler": handler}


@pytest.mark.parametrize("seconds", [None, 0])
def test_a_probe_without_a_timeout_has_the_api_servers_default_of_one_second(seconds: int | None) -> None:
    probe: Json = {"tcpSocket": {"port": 1}, **({} if seconds is None else {"timeoutSeconds": seconds})}
    assert rewritten(probe)[1]["timeoutSeconds"] == 1


UNTOUCHED = {
    "exec": {"exec": {"command": ["true"]}},
    "no handler": {"periodSeconds": 5},
    "empty": {},
    "null": None,
    "a null handler": {"httpGet": None},
    "a name that no port has": {"httpGet": {"port": "htpp"}},
    "a name of another container's port": {"tcpSocket": {"port": "metrics"}},
    "no port": {"grpc": {"service": "x"}},
    "port 0": {"tcpSocket": {"port": 0}},
    "a port too high": {"tcpSocket": {"port": 65536}},
    "a long number in quotes": {"tcpSocket": {"port": "080000"}},
    "an empty name": {"tcpSocket": {"port": ""}},
    "true for a port": {"tcpSocket": {"port": True}},
    "two handlers": {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}},
    "exec beside another": {"exec": {"command": ["true"]}, "httpGet": {"port": 80}},
    "a list for a port": {"httpGet": {"port": [80]}},
    "a text for a handler": {"httpGet": "/"},
}


@pytest.mark.parametrize("probe", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_what_the_kubelet_could_not_or_need_not_send_stays_as_it_is(probe: Any) -> None:
    other = container("other", ports=[{"name": "metrics", "containerPort": 9090}])
    patched = injected(pod(container(livenessProbe=probe, ports=NAMED_PORTS), other))
    assert patched["spec"]["containers"][0]["livenessProbe"] == probe
    assert told(patched, "INJECTOR_PROBES") == "[]"


@pytest.mark.parametrize(
    "lifecycle",
    [
        {},
        {"preStop": None},
        {"preStop": {"exec": {"command": ["sync"]}}},
        {"preStop": {"sleep": {"seconds": 5}}},
        {"preStop": {"tcpSocket": {"port": 80}}},  # accepted by the API, run by nobody
        {"stopSignal": "SIGUSR1"},
    ],
)
def test_other_hooks_stay_as_they_are(lifecycle: Json) -> None:
    patched = injected(pod(container(lifecycle=lifecycle)))
    assert patched["spec"]["containers"][0]["lifecycle"] == lifecycle


def test_native_sidecars_have_their_probes_rewritten_too() -> None:
    sidecar = container("cache", restartPolicy="Always", readinessProbe={"tcpSocket": {"port": 11211}})
    patched = injected(pod(initContainers=[container("wait"), sidecar]))
    assert patched["spec"]["initContainers"][3]["readinessProbe"]["httpGet"]["path"] == "/probes/cache/readinessProbe"


def test_every_probe_of_every_container_has_a_path_of_its_own() -> None:
    probe = {"tcpSocket": {"port": 80}}
    all_fields = {**dict.fromkeys(probes.PROBE_FIELDS, probe), "lifecycle": {"preStop": {"httpGet": {"port": 80}}}}
    patched = injected(pod(container("a", **all_fields), container("b", **all_fields)))
    paths = [declaration["path"] for declaration in json.loads(told(patched, "INJECTOR_PROBES"))]
    assert len(paths) == len(set(paths)) == 8


def test_kubernetes_expands_nothing_in_what_the_proxy_is_told() -> None:
    patched = injected(pod(container(livenessProbe={"httpGet": {"port": 80, "path": "/$(HOSTNAME)/$$/$"}})))
    proxy = patched["spec"]["initContainers"][1]
    raw = next(entry["value"] for entry in proxy["env"] if entry["name"] == "INJECTOR_PROBES")
    assert "/$$(HOSTNAME)/$$$$/$$" in raw
    assert json.loads(told(patched, "INJECTOR_PROBES"))[0]["handler"]["httpGet"]["path"] == "/$(HOSTNAME)/$$/$"


def test_probes_that_fit_no_environment_variable_are_refused() -> None:
    header = {"name": "X", "value": "ü" * 50_000}  # two bytes each
    (fault,) = faults(pod(container(livenessProbe={"httpGet": {"port": 80, "httpHeaders": [header]}})))
    assert fault.reason == "probes-too-large"
    assert fault.message == (
        "the pod's probes and hooks take 100141 bytes as JSON, and at most 98304 can be handed to the proxy; "
        "shorten their headers and paths"
    )


def test_half_a_character_in_a_probe_breaks_nothing() -> None:
    patched = injected(pod(container(livenessProbe={"httpGet": {"port": 80, "path": "/\ud800"}})))
    assert json.loads(told(patched, "INJECTOR_PROBES"))[0]["handler"]["httpGet"]["path"] == "/\ud800"


class TestRestoring:
    """The sidecar's variable stood in a pod that others could write to: nothing in it is believed."""

    PROBE: Final = {
        "periodSeconds": 3,
        "httpGet": {"path": "/probes/web/livenessProbe", "port": 4191, "scheme": "HTTP"},
    }

    def restored(self, declarations: Any, probe: Any = None) -> Any:
        spec = pod(container(livenessProbe=self.PROBE if probe is None else probe))["spec"]
        text = declarations if isinstance(declarations, str) else json.dumps(declarations)
        return probes.restored(spec, text)["containers"][0]["livenessProbe"]

    def test_the_declared_handler_comes_back_and_the_rest_stays(self) -> None:
        declared = {"path": "/probes/web/livenessProbe", "handler": {"grpc": {"port": 9}}}
        assert self.restored([declared]) == {"periodSeconds": 3, "grpc": {"port": 9}}

    @pytest.mark.parametrize(
        "declarations",
        [
            "",
            "not json",
            "[" * 100_000,
            "null",
            "{}",
            "[null, 5, []]",
            [{}],
            [{"path": None, "handler": {"grpc": {}}}],
            [{"path": "/probes/web", "handler": {"grpc": {}}}],
            [{"path": "/probes/other/livenessProbe", "handler": {"grpc": {}}}],
            [{"path": "/probes/web/image", "handler": {"grpc": {}}}],
            [{"path": "/probes/web/livenessProbe/x", "handler": {"grpc": {}}}],
            [{"path": "/probes/web/livenessProbe"}],
            [{"path": "/probes/web/livenessProbe", "handler": None}],
            [{"path": "/probes/web/livenessProbe", "handler": {}}],
            [{"path": "/probes/web/livenessProbe", "handler": {"grpc": "x"}}],
            [{"path": "/probes/web/livenessProbe", "handler": {"exec": {"command": ["sh"]}}}],
            [{"path": "/probes/web/livenessProbe", "handler": {"grpc": {}, "exec": {}}}],
            [{"path": "/probes/web/livenessProbe", "handler": {"grpc": {}, "tcpSocket": {}}}],
        ],
        ids=lambda it: str(it)[:40],
    )
    def test_anything_else_is_left_where_it_is(self, declarations: Any) -> None:
        assert self.restored(declarations) == self.PROBE

    @pytest.mark.parametrize("probe", [{"httpGet": "x"}, {"httpGet": [1]}, {"httpGet": {"port": 80}}, {"exec": {}}, 5])
    def test_a_probe_that_was_not_rewritten_is_not_restored(self, probe: Any) -> None:
        declared = {"path": "/probes/web/livenessProbe", "handler": {"grpc": {"port": 9}}}
        assert self.restored([declared], probe) == probe


@given(pods())
def test_the_proxy_is_told_exactly_what_the_pod_declared(subject: Json) -> None:
    declarations = json.loads(told(injected(subject), "INJECTOR_PROBES"))
    assert declarations == json.loads(
        probes.encode([rewrite.declaration for rewrite in probes.rewrites(subject["spec"])])
    )
    for declaration in declarations:
        _, _, name, field = declaration["path"].split("/")
        (owner,) = [
            it
            for group in ("initContainers", "containers")
            for it in subject["spec"].get(group) or ()
            if it["name"] == name
        ]
        holder = owner["lifecycle"] if field in probes.HOOK_FIELDS else owner
        ((kind, handler),) = declaration["handler"].items()
        assert holder[field][kind] == handler
        numbers = {port["containerPort"] for port in owner.get("ports") or ()}
        assert declaration["port"] in numbers | {handler["port"]} or str(declaration["port"]) == handler["port"]
        assert ("timeoutSeconds" in declaration) == (field in probes.PROBE_FIELDS)


def test_annotations_about_ports_do_not_change_probes() -> None:
    subject = pod(container(livenessProbe={"tcpSocket": {"port": 80}}), annotations=annotated(skip_inbound_ports="80"))
    assert injected(subject)["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"] == 4191
