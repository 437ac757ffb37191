"""Pods of sizes that nobody writes down: each near a limit of Kubernetes, of Linux, or of ours."""

from collections.abc import Iterator
from typing import Final

from injector.inject.refusal import MAX_PROBES_BYTES
from tests.cluster.support.kinds import Json

MEGABYTE: Final = 1_000_000
ANNOTATION_BYTES: Final = 256 * 1024
"""All annotations of an object together (apimachinery, TotalAnnotationSizeLimitB)."""


def entries() -> Iterator[Json]:
    """Cases as the YAML files have them."""
    yield {
        "intent": "close to 1 MB of environment",
        "answer": "injected",
        "spec": _one(env=_variables(MEGABYTE - 20_000)),
    }
    yield {
        "intent": "annotations up to the limit",
        "metadata": {"annotations": {"note": "a" * (ANNOTATION_BYTES - 1_000)}},
        "answer": "injected",
    }
    yield {
        "intent": "100 containers with probes",
        "spec": {"containers": [_probed(f"app-{index}", 8000 + index) for index in range(100)]},
        "answer": "injected",
    }
    yield {
        "intent": "100 init containers",
        "spec": {"initContainers": [{"name": f"step-{index}", "image": "app"} for index in range(100)]},
        "answer": "injected",
    }
    yield {
        "intent": "500 volumes, all of them mounted",
        "spec": {
            "volumes": [{"name": f"v{index}", "emptyDir": {}} for index in range(500)],
            **_one(volumeMounts=[{"name": f"v{index}", "mountPath": f"/v/{index}"} for index in range(500)]),
        },
        "answer": "injected",
    }
    yield {
        "intent": "1,000 ports",
        "spec": _one(ports=[{"containerPort": port} for port in range(10_000, 11_000)]),
        "answer": "injected",
    }
    yield {
        "intent": "as many ports to skip as a list may have",
        "metadata": {"annotations": {"injector.mesh/skip-outbound-ports": _ports(256)}},
        "answer": "injected",
    }
    yield {
        "intent": "one port to skip more than a list may have",
        "metadata": {"annotations": {"injector.mesh/skip-outbound-ports": _ports(257)}},
        "answer": "refused bad-value",
        "says": "injector.mesh/skip-outbound-ports: expected at most 256 ports or ranges",
    }
    yield {
        "intent": "200 KB of nonsense as a subnet",
        "metadata": {"annotations": {"injector.mesh/skip-inbound-subnets": "x" * 200_000}},
        "answer": "refused bad-value",
        "says": "injector.mesh/skip-inbound-subnets: expected subnets",
    }
    yield {
        "intent": "probes as large as they may be",
        "spec": _one(livenessProbe=_large_probe(MAX_PROBES_BYTES - 500)),
        "answer": "injected",
    }
    yield {
        "intent": "probes larger than an environment variable may be",
        "spec": _one(livenessProbe=_large_probe(MAX_PROBES_BYTES + 1)),
        "answer": "refused probes-too-large",
        "says": f"at most {MAX_PROBES_BYTES} can be handed to the proxy; shorten their headers and paths",
    }
    yield {
        "intent": "40 keys that do not exist",
        "metadata": {"annotations": {f"injector.mesh/zz{index:02}": "" for index in range(40)}},
        "answer": "injected",
        "warns": [
            "40 annotations under injector.mesh/ are unknown; the first 16 follow",
            *("is unknown and has no effect" for _ in range(16)),
        ],
    }


def _one(**fields: object) -> Json:
    return {"containers": [{"name": "app", "image": "app", **fields}]}


def _variables(size: int) -> list[Json]:
    value = "v" * 1000
    return [{"name": f"SETTING_{index}", "value": value} for index in range(size // 1040)]


def _ports(count: int) -> str:
    """That many ports of which no two are neighbours, so that none can be merged."""
    return ",".join(str(port) for port in range(20_000, 20_000 + 2 * count, 2))


def _probed(name: str, port: int) -> Json:
    return {"name": name, "image": "app", "livenessProbe": {"httpGet": {"path": f"/{name}", "port": port}}}


def _large_probe(size: int) -> Json:
    """A probe whose declaration has about `size` bytes: the path alone."""
    return {"httpGet": {"path": "/" + "p" * size, "port": 8080, "scheme": "HTTP"}}
