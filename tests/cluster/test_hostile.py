"""An enemy in a pod talks to the webhook directly: a clear refusal or a closed connection, and nobody else notices."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from injector.runtime.limits import KIB, MIB, REVIEWS
from tests.cluster.hostile import enemy
from tests.cluster.support import mesh as meshes
from tests.cluster.support import pods
from tests.cluster.support.api import Api
from tests.cluster.support.load import Load, load
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.progress import say
from tests.cluster.support.sandbox import Pod, Sandbox
from tests.cluster.support.webhook import WEBHOOK, replicas, reviews, samples

CLOSED: Final = 0
PROGRAM: Final = Path(enemy.__file__).read_text()

ANSWERS: Final = {
    "not JSON": (400, "expected an AdmissionReview as JSON"),
    "an empty body": (400, "expected an AdmissionReview as JSON"),
    "a list": (400, "expected an AdmissionReview object, got a list"),
    "10,000 levels": (400, "expected an AdmissionReview as JSON"),
    "half a review": (400, "expected an AdmissionReview as JSON"),
    "no text but bytes": (400, "expected an AdmissionReview as JSON"),
    "another kind": (400, "expected a review of v1 Pod at /mutate/pods, got 'v1 Secret'"),
    "another version of the review": (400, "expected admission.k8s.io/v1 AdmissionReview"),
    "no uid": (400, "expected a text in request.uid, got nothing"),
    "no object": (400, "expected an object in request.object, got nothing"),
    "another path": (404, ""),
    "another method": (405, ""),
    "100 MB, announced": (413, "body too large"),
    "100 MB, not announced": (413, "body too large"),
    "1 MB of headers": (431, "headers too large"),
    "no HTTP": (400, "malformed request"),
    "no TLS": (CLOSED, ""),
    "no word after connecting": (CLOSED, ""),
    "headers, slowly": (408, "headers too slow"),
    "a body, slowly": (408, "body too slow"),
    "a second request before the first answer": (400, "malformed request"),
}

MAY_BE_CUT_OFF: Final = {"100 MB, announced", "100 MB, not announced", "1 MB of headers"}
"""Where the sender is still at it when the answer comes, and may see the reset that follows instead."""

SLOWEST_SECONDS: Final = 2 + max(REVIEWS.handshake_seconds, REVIEWS.header_seconds, REVIEWS.body_seconds)
"""An enemy is shown the door after the limit, and 2 s for two slow cores."""

SOCKETS_BYTES: Final = sum(
    int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2]) for name in ("tcp_rmem", "tcp_wmem")
)
"""What the kernel takes of a sender beyond what a receiver reads, at most: their two buffers."""

FLOOD_SECONDS: Final = 10.0
P95_SECONDS: Final = 2.5
"""Of the API server's reviews during a flood: half of the 5 s that it would wait. Without a flood it is some 10 ms.
Here all share two cores, and one body of 6 MB is 0.2 s of work that no other's turn interrupts."""

MOST_LATE: Final = 0.01
"""Of them may come too late: on a slower machine the API server itself waits for its turn on the two cores. None may be
answered wrongly."""

CLIENTS: Final = 4
"""Pods created at a time, as by as many controllers."""

PARSED_BYTES: Final = 128 * MIB
"""One body of 7 MiB as Python objects, its patch, and what the allocator keeps of both."""

READ_BYTES: Final = REVIEWS.connections_per_source * 256 * KIB
"""What asyncio reads at a time of a connection with TLS (`SSLProtocol.max_size`), from one source."""

MOST_BYTES: Final = REVIEWS.held_bytes + PARSED_BYTES + READ_BYTES
"""By which a webhook may grow, however long it goes on: 256 MiB to its 80, of the 512 that it has. The allocators give
little of that back."""


@pytest.fixture(scope="module")
def hostile(mesh: Mesh) -> Iterator[Pod]:
    """A pod outside the mesh that has Python, half a core, and the worst intentions."""
    sandbox = Sandbox(mesh.cluster, mesh.api, "hostile")
    image = next(name for name in meshes.image_names() if "/controller" in name)
    container = {
        "name": pods.APP,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "import signal; signal.pause()"],
        "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
    }
    try:
        sandbox.open(meshed=False)
        (pod,) = sandbox.start(pods.pod("enemy", pods.spec(container)))
        yield pod
    finally:
        sandbox.remove()


def run(hostile: Pod, *words: str) -> Any:
    return json.loads(hostile.exec("python", "-c", PROGRAM, *words))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_wrong_body_gets_a_clear_answer_or_a_closed_connection(hostile: Pod, name: str) -> None:
    status, text = ANSWERS[name]
    answer = run(hostile, "say", name)
    cut_off = name in MAY_BE_CUT_OFF and answer["status"] == CLOSED
    assert cut_off or (answer["status"], text in answer["text"]) == (status, True), answer
    assert answer["seconds"] < SLOWEST_SECONDS
    assert answer["sent"] < REVIEWS.body_bytes + SOCKETS_BYTES, "more was taken than may be, and what sockets hold"


def test_1_000_levels_are_answered_as_a_pod_of_a_wrong_shape_or_refused(hostile: Pod) -> None:
    answer = run(hostile, "say", "1,000 levels")
    assert answer["status"] == 200, answer
    assert "spec: expected an object, got a list" in answer["text"]


def memory(api: Api) -> dict[str, float]:
    """Resident bytes of each webhook process; it names itself by its start."""
    found = samples(api, WEBHOOK, "process_resident_memory_bytes")
    return {pod["metadata"]["name"]: value for pod, (_, value) in zip(replicas(api, WEBHOOK), found, strict=True)}


@dataclass
class Flooded:
    """What one flood did: the enemy's answers, what customers saw, and the webhooks' memory at its highest."""

    outcomes: dict[str, int]
    seen: Load
    peak: dict[str, float]


def flood(api: Api, hostile: Pod, meshed: Sandbox) -> Flooded:
    over, peak = threading.Event(), memory(api)

    def weigh() -> None:
        while not over.wait(0.5):
            for name, resident in memory(api).items():
                peak[name] = max(peak[name], resident)

    weighing = threading.Thread(target=weigh)
    weighing.start()
    try:
        with load(meshed, clients=CLIENTS) as seen:
            outcomes: dict[str, int] = run(hostile, "flood", str(FLOOD_SECONDS), meshed.name)
    finally:
        over.set()
        weighing.join()
    return Flooded(outcomes, seen, peak)


def test_a_flood_leaves_memory_flat_and_the_api_server_answered(api: Api, hostile: Pod, meshed: Sandbox) -> None:
    before, errors = memory(api), reviews(api)["error", "internal"]
    first, second = flood(api, hostile, meshed), flood(api, hostile, meshed)

    for name, resident in before.items():
        peaks = [first.peak[name], second.peak[name]]
        say(f"  {name}: {resident / MIB:.0f} MiB, and at most {peaks[0] / MIB:.0f} and {peaks[1] / MIB:.0f}")
        assert max(peaks) < resident + MOST_BYTES
    for each in (first, second):
        p50, p95 = each.seen.quantile(0.5), each.seen.quantile(0.95)
        late = [failure for failure in each.seen.failures if "deadline exceeded" in failure]
        say(f"  answers to the enemy: {each.outcomes}")
        say(f"  the API server's {len(each.seen.seconds)} reviews meanwhile: p50 {p50:.2f} s, p95 {p95:.2f} s")
        assert sum(each.outcomes.values()) > 100, "this was no flood"
        assert late == each.seen.failures
        assert len(late) <= MOST_LATE * len(each.seen.seconds)
        assert p95 < P95_SECONDS
    assert reviews(api)["error", "internal"] == errors
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in replicas(api, WEBHOOK))
