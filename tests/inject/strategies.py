"""Pods as people and their tools write them: valid for Kubernetes, with every kind of probe, hook and volume, fields
left out, empty, or not invented yet. None asks for what the mesh refuses; tests add that themselves."""

from typing import Any, Final

from hypothesis import strategies as st

from injector.inject.model import Json
from tests.inject.apiserver import UNKNOWN

NAMES: Final = ("web", "api", "cache", "db", "log-shipper", "metrics", "migrate", "wait")
PORT_NAMES: Final = ("http", "grpc", "admin", "metrics")
PORTS: Final = st.integers(1, 65535).filter(lambda port: port not in (4140, 4143, 4190, 4191))
TEXTS: Final = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
AMOUNTS: Final = {
    "cpu": st.sampled_from(("100m", "0.5", "1", "2", "250m")),
    "memory": st.sampled_from(("64Mi", "128Mi", "1Gi", "200M")),
}

UNKNOWN_FIELDS: Final[st.SearchStrategy[Json]] = st.dictionaries(
    st.sampled_from((f"{UNKNOWN}-a", f"{UNKNOWN}-b")),
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | TEXTS
    | st.just([])
    | st.just({"deep": [{}, None, "$(X)"]}),
    max_size=1,
)


def _some(fields: dict[str, st.SearchStrategy[Any]], always: Json | None = None) -> st.SearchStrategy[Json]:
    """An object with `always`, any of `fields`, and now and then a field that nobody knows."""
    known = st.fixed_dictionaries({name: st.just(value) for name, value in (always or {}).items()}, optional=fields)
    return st.builds(lambda some, unknown: {**some, **unknown}, known, UNKNOWN_FIELDS)


def _optional_list(entries: st.SearchStrategy[Any], **limits: Any) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(entries, **limits)


PORT_REFERENCES: Final = PORTS | st.sampled_from(PORT_NAMES)
HEADERS: Final = st.fixed_dictionaries({"name": st.sampled_from(("Host", "X-Probe")), "value": TEXTS})
HTTP_GETS: Final = st.builds(
    lambda port, rest: {"port": port, **rest},
    PORT_REFERENCES,
    _some(
        {
            "path": st.sampled_from(("/", "/health?full=1", "/$(HOME)/$$x", "")),
            "scheme": st.sampled_from(("HTTP", "HTTPS")),
            "host": st.sampled_from(("10.1.2.3", "")),
            "httpHeaders": _optional_list(HEADERS, max_size=2),
        }
    ),
)
TCP_SOCKETS: Final = st.builds(lambda port: {"port": port}, PORT_REFERENCES)
GRPCS: Final = st.builds(lambda port, rest: {"port": port, **rest}, PORTS, _some({"service": TEXTS}))
EXECS: Final = st.just({"command": ["true"]})


def _handlers(**kinds: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.one_of(*(kind.map(lambda value, name=name: {name: value}) for name, kind in kinds.items()))  # type: ignore[misc]


PROBES: Final = st.builds(
    lambda handler, rest: {**handler, **rest},
    _handlers(httpGet=HTTP_GETS, tcpSocket=TCP_SOCKETS, grpc=GRPCS, exec=EXECS),
    _some(
        {
            "periodSeconds": st.integers(0, 60),
            "timeoutSeconds": st.integers(0, 30),
            "failureThreshold": st.integers(1, 9),
            "initialDelaySeconds": st.integers(0, 9),
        }
    ),
)
HOOKS: Final = _handlers(httpGet=HTTP_GETS, exec=EXECS, sleep=st.just({"seconds": 3}), tcpSocket=TCP_SOCKETS)


def _lifecycles() -> st.SearchStrategy[Json]:
    return _some({"postStart": HOOKS, "preStop": HOOKS})


def _resources() -> st.SearchStrategy[Json]:
    """Limits, requests equal to them, both, or neither, for either resource."""

    def build(limits: Json, parts: tuple[str, ...]) -> Json:
        return {part: dict(limits) for part in parts}

    limits = st.fixed_dictionaries({}, optional=AMOUNTS)
    return st.builds(build, limits, st.sampled_from(((), ("limits",), ("requests",), ("limits", "requests"))))


CONTAINER_PORTS: Final = st.lists(
    st.builds(
        lambda port, name, rest: {"containerPort": port, **({"name": name} if name else {}), **rest},
        PORTS,
        st.none() | st.sampled_from(PORT_NAMES),
        _some({"protocol": st.sampled_from(("TCP", "UDP", "SCTP"))}),
    ),
    max_size=3,
    unique_by=lambda port: port.get("name") or port["containerPort"],
)
ENVIRONMENT: Final = st.lists(
    st.builds(lambda name, value: {"name": name, "value": value}, st.sampled_from(("A", "B", "LD_PRELOAD")), TEXTS),
    max_size=3,
)
SECURITY: Final = _some(
    {"runAsUser": st.sampled_from((0, 1000)), "runAsNonRoot": st.booleans(), "readOnlyRootFilesystem": st.booleans()}
)
MOUNTS: Final = st.lists(
    st.builds(
        lambda volume, path, rest: {"name": volume, "mountPath": path, **rest},
        st.sampled_from(("data", "config")),
        st.sampled_from(("/data", "/etc/config", "/var/run/secrets/kubernetes.io/serviceaccount")),
        _some({"readOnly": st.booleans(), "subPath": st.just("a/b")}),
    ),
    max_size=2,
    unique_by=lambda mount: mount["mountPath"],
)
COMMON_FIELDS: Final = {
    "ports": st.none() | CONTAINER_PORTS,
    "env": st.none() | ENVIRONMENT,
    "resources": st.none() | _resources(),
    "securityContext": st.none() | SECURITY,
    "volumeMounts": st.none() | MOUNTS,
    "args": st.just(["--verbose"]),
}
LONG_RUNNING_FIELDS: Final = COMMON_FIELDS | {
    "livenessProbe": st.none() | PROBES,
    "readinessProbe": st.none() | PROBES,
    "startupProbe": st.none() | PROBES,
    "lifecycle": st.none() | _lifecycles(),
}


def containers(name: str) -> st.SearchStrategy[Json]:
    """A container of this name that runs as long as the pod."""
    return _some(LONG_RUNNING_FIELDS, {"name": name, "image": f"example.com/{name}"})


def init_containers(name: str) -> st.SearchStrategy[Json]:
    """One that ends, or a native sidecar, which may have probes and hooks."""
    ending = _some(COMMON_FIELDS, {"name": name, "image": f"example.com/{name}:2"})
    sidecar = _some(LONG_RUNNING_FIELDS, {"name": name, "image": f"example.com/{name}", "restartPolicy": "Always"})
    return ending | sidecar


DATA: Final = st.sampled_from([{"emptyDir": {}}, {"hostPath": {"path": "/srv"}}, {"secret": {"secretName": "data"}}])
CONFIG: Final = st.sampled_from(
    [{"configMap": {"name": "config"}}, {"projected": {"sources": [{"secret": {"name": "config"}}]}}]
)
VOLUMES: Final = st.builds(lambda data, config: [{"name": "data", **data}, {"name": "config", **config}], DATA, CONFIG)
"""The two volumes that containers mount."""

METADATA: Final = _some(
    {
        "labels": st.none() | st.dictionaries(st.sampled_from(("app", "tier")), st.just("web"), max_size=2),
        "annotations": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "injector.mesh/log-level": st.sampled_from(("debug", " warn ")),
                "injector.mesh/skip-outbound-ports": st.sampled_from(("", "25,3306", "1-65535")),
                "injector.mesh/proxy-cpu-limit": st.sampled_from(("", "0.5", "2")),
                "injector.mesh/proxy-memory-request": st.sampled_from(("", "0.03Gi", "20M")),
                "example.com/note": TEXTS,
            },
        ),
        "generateName": st.just("web-"),
    },
    {"namespace": "shop"},
)
SPEC_FIELDS: Final = {
    "automountServiceAccountToken": st.booleans(),
    "dnsPolicy": st.just("Default"),
    "hostNetwork": st.just(False),
    "imagePullSecrets": _optional_list(st.just({"name": "registry"}), max_size=1),
    "nodeSelector": st.just({"kubernetes.io/os": "linux"}),
    "securityContext": st.none() | _some({"runAsNonRoot": st.booleans(), "runAsUser": st.just(1000)}),
    "tolerations": st.just([{"operator": "Exists"}]),
}


NOTHING: Final[st.SearchStrategy[Any]] = st.just(None) | st.builds(list)
"""What stands for an absent list: null, or an empty one."""


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """A pod of one to three containers and up to two init containers; every list may also be absent, null or empty."""
    names = draw(st.permutations(NAMES))
    spec = draw(_some(SPEC_FIELDS))
    count = draw(st.integers(1, 3))
    spec["containers"] = [draw(containers(name)) for name in names[:count]]
    before = [draw(init_containers(name)) for name in names[count : count + draw(st.integers(0, 2))]]
    written = draw(st.booleans())
    if before or written:
        spec["initContainers"] = before or draw(NOTHING)
    all_mounts = [
        mount for container in (*spec["containers"], *before) for mount in container.get("volumeMounts") or ()
    ]
    if all_mounts or written:
        spec["volumes"] = draw(VOLUMES) if all_mounts else draw(NOTHING)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": draw(METADATA), "spec": spec}
