"""What of ours a pod contains already."""

from collections.abc import Iterator

from injector.inject.model import Json
from injector.inject.names import CONTAINERS, INIT_CONTAINER, PROXY_CONTAINER, VOLUMES


def proxy_container(pod: Json) -> Json | None:
    """Our sidecar in this pod, by its name among the init containers; None where there is none."""
    return _init_container(pod.get("spec") or {}, PROXY_CONTAINER)


def redirection_container(pod: Json) -> Json | None:
    """Our init container in this pod; None where there is none."""
    return _init_container(pod.get("spec") or {}, INIT_CONTAINER)


def _init_container(spec: Json, name: str) -> Json | None:
    return next((container for container in spec.get("initContainers") or () if container.get("name") == name), None)


def claims(spec: Json) -> Iterator[str]:
    """Each of our container and volume names that the spec uses, whatever for."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from (entry["name"] for entry in spec.get(group) or () if entry.get("name") in CONTAINERS)
    yield from (volume["name"] for volume in spec.get("volumes") or () if volume.get("name") in VOLUMES)


def env_value(container: Json, name: str) -> str:
    """The text of one environment variable, "" where it has none."""
    return next(
        (str(entry.get("value") or "") for entry in container.get("env") or () if entry.get("name") == name), ""
    )
