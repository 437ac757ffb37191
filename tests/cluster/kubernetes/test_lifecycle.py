"""The rig itself: what `scripts/cluster` promises about crashes, leftovers and exit codes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import cgroups, daemons, images, lifecycle, network
from .layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
NO_CLUSTER, NOT_UP = 3, 125

pytestmark = pytest.mark.cluster


class Rig:
    """A cluster of its own, beside any other."""

    def __init__(self, state: Path) -> None:
        self._environment = {**os.environ, "INJECTOR_CLUSTER_DIR": str(state)}
        self.layout = Layout(state, Layout.from_environment().cache)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "scripts/cluster"), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def succeed(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def rig() -> Iterator[Rig]:
    # Not tmp_path: sockets are below it, and the path of a socket has at most 107 characters.
    state = Path(tempfile.mkdtemp(prefix="injector-rig-"))
    rig = Rig(state)
    yield rig
    rig("down")
    shutil.rmtree(state, ignore_errors=True)


def test_a_second_up_repairs_what_was_killed(rig: Rig) -> None:
    rig.succeed("up", "--api-only")
    rig.succeed("in", "kubectl", "create", "configmap", "before", "--from-literal=a=b")
    for name in ("etcd", "kube-apiserver"):
        os.kill(int((rig.layout.state / "run" / name).read_text()), signal.SIGKILL)
    assert rig("status").returncode == 1

    rig.succeed("up", "--api-only")

    assert rig.succeed("in", "kubectl", "get", "configmap", "before", "-o", "jsonpath={.data.a}") == "b"
    assert rig("status").returncode == 0


def test_an_up_after_everything_was_killed_begins_anew(rig: Rig) -> None:
    rig.succeed("up", "--api-only")
    rig.succeed("in", "kubectl", "create", "configmap", "before", "--from-literal=a=b")
    cgroups.kill_all(rig.layout)

    assert "ended all at once; starting afresh" in rig("up", "--api-only").stderr

    assert rig("in", "kubectl", "get", "configmap", "before").returncode == 1


def test_down_leaves_nothing_even_when_its_record_is_lost(rig: Rig) -> None:
    rig.succeed("up", "--api-only")
    shutil.rmtree(rig.layout.state / "run")  # the pids: cgroups must be enough
    assert cgroups.processes(rig.layout)

    rig.succeed("down")

    assert not cgroups.processes(rig.layout)
    assert not {name for name in network.names() if name.startswith(rig.layout.name)}
    assert not [tree for tree in cgroups.trees() if (tree / rig.layout.name).exists()]
    assert not rig.layout.state.exists()
    rig.succeed("down")


def test_exit_codes_tell_the_command_from_the_rig(rig: Rig) -> None:
    assert rig("status").returncode == NO_CLUSTER
    assert rig("in", "true").returncode == NOT_UP
    assert rig("load", "no-such-image").returncode == 1
    assert rig("up", "--nodes", "none").returncode == 2

    rig.succeed("up", "--api-only")

    assert rig("in", "sh", "-c", "exit 7").returncode == 7


def test_a_daemon_that_cannot_run_is_told_with_its_last_words(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    layout.logs.mkdir()
    (layout.logs / "etcd.log").write_text("".join(f"line {n}\n" for n in range(100)) + "bind: address already in use\n")

    message = daemons.why_not(layout, "etcd", "the API is not served")

    assert "etcd has ended, and so the API is not served" in message
    assert "bind: address already in use" in message
    assert "line 80" not in message


def test_two_clusters_share_no_machine_wide_name() -> None:
    one, other = (Layout(Path(path), Path("/cache")) for path in ("/tmp/a/cluster", "/tmp/b/cluster"))

    assert one.name != other.name
    assert one.lock != other.lock


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        ("shop", "docker.io/library/shop:latest"),
        ("shop:1", "docker.io/library/shop:1"),
        ("someone/shop", "docker.io/someone/shop:latest"),
        ("localhost/shop", "localhost/shop:latest"),
        ("registry:5000/shop", "registry:5000/shop:latest"),
        ("ghcr.io/injector-mesh/proxy:0.1.0", "ghcr.io/injector-mesh/proxy:0.1.0"),
    ],
)
def test_image_names_are_completed_as_kubelet_does(typed: str, full: str) -> None:
    assert images.full_name(typed) == full


def test_mount_points_with_spaces_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"a {tmp_path}/state/one\\040two x rw 0 0\nb {tmp_path}/state-of-others x rw 0 0\n")
    monkeypatch.setattr(lifecycle, "MOUNTS", table)

    assert lifecycle.mounts(Layout(tmp_path / "state", tmp_path)) == [f"{tmp_path}/state/one two"]
