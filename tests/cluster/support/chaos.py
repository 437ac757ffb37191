"""What is done to an application and its proxies while customers ask it, and which of their failures that explains."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from subprocess import Popen
from typing import Final

from tests.cluster.support import customers
from tests.cluster.support.sandbox import Pod

FAILED: Final = re.compile(r"failed at (\S+) after (\d+) ms: (.*)")

SETTLES_SECONDS: Final = 2.0
"""After an act is over a request that it broke may be told a little later. The clock of a pod is ours."""


@dataclass(frozen=True)
class Fault:
    """A request that failed: whose, from when until when (seconds since 1970), and what its customer said of it."""

    customer: str
    began: float
    ended: float
    said: str


@dataclass(frozen=True)
class Act:
    """Something that was done, and the failures that it explains: words of theirs, of these customers or of all."""

    name: str
    began: float
    ended: float
    explains: Sequence[str] = ()
    customers: Sequence[str] = ()

    def explained(self, fault: Fault) -> bool:
        """Whether the request was under way while this was done, and failed as this lets a request fail."""
        overlaps = fault.began <= self.ended + SETTLES_SECONDS and fault.ended >= self.began
        hit = not self.customers or fault.customer in self.customers
        return overlaps and hit and any(words in fault.said for words in self.explains)


def parsed(customer: str, line: str) -> Fault | None:
    """A failure as tests/cluster/app/load.go prints it; None of any other line."""
    if (found := FAILED.match(line)) is None:
        return None
    # Python 3.11 reads six digits of a second, and Go writes up to nine.
    moment = re.sub(r"(\.\d{6})\d+", r"\1", found[1])
    began = datetime.fromisoformat(moment).timestamp()
    return Fault(customer, began, began + int(found[2]) / 1000, found[3])


@dataclass
class Ledger:
    """What was done and what failed. Logs are followed, so that a pod's end does not take them with it."""

    acts: list[Act] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _followers: list[tuple[Popen[str], threading.Thread]] = field(default_factory=list)

    def follow(self, pod: Pod) -> None:
        """Take down every failure of a customer from now on."""
        command = [pod.sandbox.cluster.kubectl_program, "-n", pod.sandbox.name, "logs", "-f", pod.name]
        process = pod.sandbox.cluster.start(*command, "-c", customers.CONTAINER)

        def read() -> None:
            for line in process.stdout or ():
                if fault := parsed(pod.name, line):
                    self.faults.append(fault)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self._followers.append((process, thread))

    @contextmanager
    def act(self, name: str, *explains: str, customers: Sequence[str] = ()) -> Iterator[None]:
        """Something is done for as long as the block takes; it explains failures that have one of these words."""
        began = time.time()
        try:
            yield
        finally:
            self.acts.append(Act(name, began, time.time(), explains, customers))

    def close(self) -> None:
        """Read what is left to read."""
        for process, thread in self._followers:
            process.terminate()
            thread.join(timeout=10)

    def unexplained(self) -> list[Fault]:
        """Failures that nothing that was done explains."""
        return [fault for fault in self.faults if not any(act.explained(fault) for act in self.acts)]

    def summary(self) -> list[str]:
        """How often each act explains a failure, by what its customer said."""
        counts = Counter(
            (next((act.name for act in self.acts if act.explained(fault)), "unexplained"), fault.said[-80:])
            for fault in self.faults
        )
        return [f"{count:5d}  {act}: {said}" for (act, said), count in sorted(counts.items())]
