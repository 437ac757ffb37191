"""Captures on the nodes: every bridge, veth and link through which the packets of pods pass."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support.cluster import Cluster
from tests.cluster.wire import sniffer

PROGRAM: Final = Path(sniffer.__file__)
END_SECONDS: Final = 60.0


@dataclass
class Capture:
    """What was seen on all nodes together; filled when the block of `capturing` has ended."""

    words: list[str]
    found: dict[str, set[str]] = field(default_factory=dict)
    """Flows ("FROM > TO") in which each word was readable."""
    flows: dict[str, int] = field(default_factory=dict)
    """Payload bytes of each flow."""
    dropped: int = 0
    """Packets that the kernel could not keep: of these nothing is known."""

    def readable(self, word: str) -> set[str]:
        """The flows in which anybody on the way could read the word."""
        return self.found[word]

    def bytes_to(self, address: str) -> int:
        """Payload seen on its way to ADDRESS:PORT."""
        return sum(size for flow, size in self.flows.items() if flow.endswith(f" > {address}"))

    def _add(self, seen: dict[str, object]) -> None:
        match seen:
            case {"found": dict(found), "flows": dict(flows), "dropped": int(dropped)}:
                self.dropped += dropped
                for word, where in found.items():
                    self.found.setdefault(word, set()).update(where)
                for flow, size in flows.items():
                    self.flows[flow] = max(size, self.flows.get(flow, 0))
            case _:
                raise Failure(f"the sniffer said something else than it should: {seen}")


@contextmanager
def capturing(cluster: Cluster, *words: str) -> Iterator[Capture]:
    """Take in all TCP traffic of all nodes during the block, and then look for the words in it."""
    if cluster.ours is None:
        raise Failure("a capture on the nodes needs a cluster started by scripts/cluster, on this machine")
    capture = Capture(list(words))
    with ExitStack() as stack:
        namespaces = [cluster.ours.namespace(node) for node in cluster.ours.existing_nodes()]
        sniffers = [stack.enter_context(_sniffing(namespace)) for namespace in namespaces]
        yield capture
        for each in sniffers:
            output, errors = each.communicate(json.dumps(capture.words) + "\n", timeout=END_SECONDS)
            if each.returncode != 0:
                raise Failure(f"the sniffer ended with {each.returncode}:\n{errors}")
            capture._add(json.loads(output))


@contextmanager
def _sniffing(namespace: str) -> Iterator["subprocess.Popen[str]"]:
    command = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, str(PROGRAM)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "listening":
                process.kill()
                raise Failure(f"nothing can be captured in {namespace}: {process.communicate()[1]}")
            yield process
        finally:
            process.kill()
