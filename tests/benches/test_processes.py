"""Children: started, looked at, stopped by their pid."""

import os
import signal
import sys
from pathlib import Path

import pytest

from benches import processes
from benches.processes import cpu_seconds, memory, output_of, running
from benches.progress import BenchError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOGS", tmp_path)


def test_a_child_is_gone_after_its_block() -> None:
    with running("sleeper", SLEEP) as child:
        assert memory(child.pid).rss > 0
        os.kill(child.pid, 0)
    assert child.process.returncode == -signal.SIGTERM


def test_a_child_that_dies_says_its_last_words() -> None:
    dying = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with running("dying", dying) as child, pytest.raises(BenchError, match="no such thing"):
        child.wait_until(lambda: False, 20.0)


def test_cpu_time_is_what_the_process_says_it_used() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint('spun', flush=True)\ntime.sleep(60)"
    with running("spinner", [sys.executable, "-c", spin]) as child:
        child.wait_until(lambda: "spun" in child.log.read_text(), 60.0)
        assert 0.28 <= cpu_seconds(child.pid) <= 0.5


def test_a_failing_command_is_an_error_with_its_words() -> None:
    with pytest.raises(BenchError, match="ended with 3: went wrong"):
        output_of([sys.executable, "-c", "import sys; print('went wrong', file=sys.stderr); sys.exit(3)"])
