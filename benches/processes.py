"""Child processes: started on a core, stopped by their pid, and what the kernel says they used."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benches.progress import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / ".bench"
LOGS = OUTPUT / "log"

_TICK = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 15.0
_LOG_TAIL = 1500


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and where its words go."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def check(self) -> None:
        """Raise if it has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with {self.process.returncode}; its last words:\n{self._tail()}")

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll until `ready`; the child ending, or the time, is an error."""
        give_up = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > give_up:
                raise BenchError(f"{self.name} was not ready after {seconds:.0f} s; its last words:\n{self._tail()}")
            time.sleep(0.02)

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_TAIL:].strip() or "(none)"


@dataclass(frozen=True, slots=True)
class Found:
    """A process that somebody else started."""

    name: str
    pid: int

    def check(self) -> None:
        """Raise if it has ended."""
        if not Path(f"/proc/{self.pid}").exists():
            raise BenchError(f"{self.name}, process {self.pid}, has ended")


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    *,
    core: int | None = None,
    real_time: bool = True,
    env: Mapping[str, str] | None = None,
) -> Iterator[Child]:
    """The command while the block runs; afterwards it is asked to end (SIGTERM), then killed.

    On a `core` it has that core to itself: see `alone_on`.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name.replace(' ', '-')}.log"
    words = [*alone_on(core, real_time=real_time), *map(str, command)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
        )
    try:
        yield Child(name, process, log)
    finally:
        _stop(process)


def alone_on(core: int | None, *, real_time: bool = True) -> list[str]:
    """Words that start a command on one core before everything else there, as if nothing else were.

    Real-time (SCHED_RR, sched(7)): next to ordinary programs a server's p99 is their time slices, some ms, and not its
    own. The kernel leaves those 5 % of the time (sched_rt_runtime_us). Not so for a server of many threads that is kept
    busy: in real time they would wait for each other for whole time slices (100 ms) instead.
    """
    if core is None:
        return []
    return [*(("chrt", "--rr", "1") if real_time else ()), "taskset", "-c", str(core)]


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output_of(
    command: Sequence[str | Path],
    *,
    core: int | None = None,
    env: Mapping[str, str] | None = None,
    given: str | None = None,
    seconds: float = 120.0,
) -> str:
    """Run to the end, given a standard input, and return standard output; failure is an error with its words."""
    words = [*alone_on(core), *map(str, command)]
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            words, input=given or "", capture_output=True, text=True, check=False, timeout=seconds, env=environment
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"`{' '.join(words)}` had not ended after {seconds:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-_LOG_TAIL:]
        raise BenchError(f"`{' '.join(words)}` ended with {done.returncode}: {said}")
    return done.stdout


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command ends with 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads, ended ones too (proc(5), stat fields 14 and 15)."""
    # The command's name, field 2, may hold spaces: count from behind its closing parenthesis, where field 3 begins.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def busy_seconds() -> float:
    """Time that all cores of the machine spent on anything but idling (proc(5), /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICK


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a process: `rss` all that is resident, `pss` with shared pages split among who shares them."""

    rss: int
    pss: int


def memory(pid: int) -> Memory:
    """From /proc/PID/smaps_rollup, which counts exactly where statm is behind by up to 64 pages a core."""
    figures: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        figures[name] = int(value.split()[0]) * 1024
    return Memory(figures["Rss"], figures["Pss"])
