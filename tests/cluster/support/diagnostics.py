"""What a person wants to see of a namespace when a test in it has failed."""

from collections.abc import Iterator
from typing import Final

from injector.inject.names import CONTAINERS
from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json
from tests.cluster.support.sandbox import Pod, Sandbox

LOG_LINES: Final = 40
"""Of each container: enough for the last moments."""


def collect(sandbox: Sandbox) -> str:
    """Pods in words (`kubectl describe`), events, and the ends of all logs."""
    return "\n\n".join(_sections(sandbox))


def _sections(sandbox: Sandbox) -> Iterator[str]:
    for title, words in (
        ("pods", ["get", "pods", "-o", "wide"]),
        ("description", ["describe", "pods"]),
        ("events", ["get", "events", "--sort-by=.lastTimestamp"]),
    ):
        try:
            yield f"--- {title}\n{sandbox.kubectl(*words)}"
        except Failure as failure:
            yield f"--- {title}\n{failure}"
    try:
        for each in sandbox.api.list("Pod", sandbox.name):
            yield from _logs(sandbox, each)
    except ApiError as error:
        yield f"--- logs\n{error}"


def _logs(sandbox: Sandbox, pod: Json) -> Iterator[str]:
    handle = Pod(sandbox, pod["metadata"]["name"])
    names = [each["name"] for group in ("initContainers", "containers") for each in pod["spec"].get(group, [])]
    for name in sorted(names, key=lambda name: name not in CONTAINERS):
        for previous in (False, True):
            try:
                lines = handle.logs(name, previous=previous).splitlines()
            except ApiError:
                continue  # not started yet, or never restarted
            which = "previous log" if previous else "log"
            yield f"--- {which} of {handle.name}/{name}\n" + "\n".join(lines[-LOG_LINES:])
