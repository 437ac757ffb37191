"""A namespace of a test's own, and the pods in it."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from injector.inject.names import ADMIN_PORT, ENABLED, INJECT, PROXY_CONTAINER
from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support import pods
from tests.cluster.support.api import Answer, Api
from tests.cluster.support.app import PROGRAM
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json, path
from tests.cluster.support.leftovers import LABEL, owner
from tests.cluster.support.metrics import Metrics

if TYPE_CHECKING:
    from subprocess import Popen

START_SECONDS: Final = 60.0
"""For a pod to get ready on a busy machine with two slow cores; usually three."""

END_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Pod:
    """One pod, by its name; what it is now is asked for each time."""

    sandbox: "Sandbox"
    name: str

    @property
    def object(self) -> Json:
        return self.sandbox.api.get("Pod", self.name, self.sandbox.name)

    @property
    def node(self) -> str:
        return str(self.object["spec"]["nodeName"])

    @property
    def meshed(self) -> bool:
        """Whether our sidecar is in it, as the native sidecar that it must be."""
        inits = self.object["spec"].get("initContainers", [])
        return any(each["name"] == PROXY_CONTAINER and each.get("restartPolicy") == "Always" for each in inits)

    def address(self, family: int) -> str:
        """Its IPv4 (4) or IPv6 (6) address."""
        addresses = [str(entry["ip"]) for entry in self.object["status"]["podIPs"]]
        return next(address for address in addresses if (":" in address) == (family == 6))

    def at(self, port: int, family: int = 4) -> str:
        """ADDRESS:PORT, as programs take it."""
        address = self.address(family)
        return f"[{address}]:{port}" if family == 6 else f"{address}:{port}"

    def exec(self, *words: str, container: str = pods.APP) -> str:
        """Standard output of a program in a container; a non-zero exit is a Failure with its words."""
        return self.sandbox.kubectl("exec", self.name, "-c", container, "--", *words)

    def app(self, *words: str, container: str = pods.APP) -> str:
        """A command of the test application (tests/cluster/app/main.go), run in the pod."""
        return self.exec(PROGRAM, *words, container=container).strip()

    def app_json(self, *words: str, container: str = pods.APP) -> Any:
        """The same for commands that print JSON."""
        return json.loads(self.app(*words, container=container))

    def app_fails(self, *words: str, container: str = pods.APP) -> str:
        """The error of a command that must fail inside the pod."""
        try:
            output = self.app(*words, container=container)
        except Failure as failure:
            return str(failure)
        raise AssertionError(f"expected {words} to fail in {self.name}, and it printed {output!r}")

    def start_app(self, *words: str) -> "Popen[str]":
        """The same without waiting; the caller collects it."""
        command = [self.sandbox.cluster.kubectl_program, "-n", self.sandbox.name, "exec", self.name, "-c", pods.APP]
        return self.sandbox.cluster.start(*command, "--", PROGRAM, *words)

    def logs(self, container: str, *, previous: bool = False, timestamps: bool = False) -> str:
        """What a container has written."""
        return self.sandbox.api.text(
            path("Pod", self.sandbox.name, self.name, "log"),
            container=container,
            previous="true" if previous else "",
            timestamps="true" if timestamps else "",
        )

    def admin(self, page: str) -> str:
        """What its proxy's admin port answers, asked by way of the API server."""
        own = path("Pod", self.sandbox.name, f"{self.name}:{ADMIN_PORT}", "proxy")
        return self.sandbox.api.text(f"{own}/{page}")

    def metrics(self) -> Metrics:
        """What its proxy has counted."""
        return Metrics(self.admin("metrics"))

    def wait(self, holds: Callable[[Json], bool], what: str, *, seconds: float = START_SECONDS) -> Json:
        """Watch it until it holds."""
        return self.sandbox.api.wait("Pod", self.name, self.sandbox.name, holds, seconds=seconds, what=what)

    def wait_ready(self, *, seconds: float = START_SECONDS) -> Json:
        return self.wait(is_ready, "Ready", seconds=seconds)

    def wait_gone(self, *, seconds: float = END_SECONDS) -> None:
        self.sandbox.api.wait_gone("Pod", self.name, self.sandbox.name, seconds=seconds)

    def wait_event(self, reason: str, *, containing: str = "") -> Json:
        """Watch until an Event of this reason with this text is there for the pod."""
        return self.sandbox.wait_event(reason, containing=containing, about=self.name)

    def delete(self) -> None:
        """Begin to delete it, with its own grace period."""
        self.sandbox.api.delete("Pod", self.name, self.sandbox.name)

    def status_of(self, container: str) -> Json:
        """The container's status, whichever list it stands in."""
        return container_status(self.object, container)


class Sandbox:
    """A namespace that a test has to itself."""

    def __init__(self, cluster: Cluster, api: Api, title: str) -> None:
        self.cluster = cluster
        self.api = api
        self.name = f"{slug(title)}-{secrets.token_hex(2)}"

    def open(
        self, *, meshed: bool, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None
    ) -> Answer:
        """Create the namespace, opted in or not, and wait until pods can be created in it."""
        opted = {INJECT: ENABLED} if meshed else {}
        metadata = {
            "name": self.name,
            "annotations": opted | (annotations or {}),
            "labels": {LABEL: owner()} | (labels or {}),
        }
        answer = self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        # The API server refuses pods until the controller manager has made their ServiceAccount.
        account = "the ServiceAccount is there"
        self.api.wait("ServiceAccount", "default", self.name, bool, seconds=START_SECONDS, what=account)
        return answer

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.name, *words, stdin=stdin)

    def create(self, body: Json) -> Answer:
        """Create any object here; refused: ApiError."""
        return self.api.create(body, self.name)

    def begin(self, body: Json) -> Pod:
        """Create a pod and do not wait for it."""
        return Pod(self, str(self.create(body).object["metadata"]["name"]))

    def start(self, *bodies: Json) -> tuple[Pod, ...]:
        """Create pods, all at once, and wait until each is Ready."""
        started = tuple(self.begin(body) for body in bodies)
        for each in started:
            each.wait_ready()
        return started

    def pods(self, app: str) -> list[Pod]:
        """The pods labelled `app: <app>` that are not being deleted."""
        found = self.api.list("Pod", self.name, labels=f"app={app}")
        return [Pod(self, each["metadata"]["name"]) for each in found if "deletionTimestamp" not in each["metadata"]]

    def wait_pods(self, app: str, count: int, *, seconds: float = START_SECONDS) -> list[Pod]:
        """Watch until `count` pods with this label are Ready, and give them by name. Those that end do not count."""
        ready: set[str] = set()
        for event, each in self.api.watch("Pod", self.name, labels=f"app={app}", seconds=seconds):
            name, stays = each["metadata"]["name"], "deletionTimestamp" not in each["metadata"]
            ready = ready | {name} if event != "DELETED" and stays and is_ready(each) else ready - {name}
            if len(ready) == count:
                return [Pod(self, name) for name in sorted(ready)]
        raise AssertionError(f"not within {seconds:g} s: {count} pods {app!r} in {self.name}; ready: {sorted(ready)}")

    def events(self, *, reason: str = "") -> list[Json]:
        """Events here, the oldest first."""
        found = self.api.list("Event", self.name, fields=f"reason={reason}" if reason else "")
        return sorted(found, key=lambda event: event["metadata"]["creationTimestamp"])

    def wait_event(self, reason: str, *, containing: str = "", about: str = "", seconds: float = START_SECONDS) -> Json:
        """Watch until an Event of this reason with this text is there, about the object of that name or any."""
        seen: list[str] = []
        fields = f"reason={reason}" + (f",involvedObject.name={about}" if about else "")
        for _, event in self.api.watch("Event", self.name, fields=fields, seconds=seconds):
            if containing in event.get("message", ""):
                return event
            seen.append(event.get("message", ""))
        raise AssertionError(f"no Event {reason} with {containing!r} in {self.name} within {seconds:g} s; seen: {seen}")

    def remove(self) -> None:
        """Begin to delete the namespace and all in it; nobody waits for it."""
        try:
            self.api.delete("Namespace", self.name)
        except ApiError as error:  # a test may have broken its cluster; its own failure says more than this one
            print(f"namespace {self.name} is left behind: {error}")


def slug(title: str) -> str:
    """A test's name as a namespace's: at most 50 letters, digits and dashes, room for a random end within 63."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-")


def is_ready(pod: Json) -> bool:
    """Whether the pod's Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def container_status(pod: Json, container: str) -> Json:
    """A container's status in a pod; an empty one where it has none yet."""
    status = pod.get("status", {})
    for group in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(group, []):
            if each["name"] == container:
                return dict(each)
    return {}
