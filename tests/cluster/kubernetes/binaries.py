"""The Go programs of a cluster, built once from the modules that their go.mod files lock, and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from .shell import Failure, run, step

if TYPE_CHECKING:
    from .layout import Layout

SOURCES = Path(__file__).parent
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")


def ensure(layout: Layout) -> None:
    """Build what is missing or was built from other sources. The first time takes minutes, then nothing."""
    # pause has a directory of its own because that directory becomes the root of its image.
    _build(SOURCES / "pause", layout.binaries / "pause" / "pause")
    _build(SOURCES / "coredns", layout.binaries / "coredns")
    hyperkube = layout.binaries / "hyperkube"
    _build(SOURCES / "hyperkube", hyperkube, _version_flags((SOURCES / "hyperkube" / "go.mod").read_text()))
    for component in COMPONENTS:
        link = layout.binaries / component
        if not link.is_symlink():
            link.symlink_to(hyperkube.name)


def _version_flags(go_mod: str) -> str:
    """What the release process stamps in: without it the API server calls itself v0.0.0, and clients refuse it."""
    found = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", go_mod)
    if not found:
        raise Failure("hyperkube/go.mod requires no k8s.io/kubernetes, so its version is unknown")
    at = "k8s.io/component-base/version"
    return f"-X {at}.gitVersion={found[1]} -X {at}.gitMajor={found[2]} -X {at}.gitMinor={found[3]}"


def _build(source: Path, target: Path, flags: str = "") -> None:
    stamp = target.with_name(f"{target.name}.sources")
    wanted = digest(source)
    if target.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if shutil.which("go") is None:
        raise Failure(f"building {source.name} needs Go, and no `go` is on PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    minutes = " (the first time takes minutes)" if source.name == "hyperkube" else ""
    with step(f"building {source.name}{minutes}"):
        # Under another name first: a build that is killed must not leave half a binary that looks whole.
        partial = target.with_name(f"{target.name}.partial")
        options = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}"]
        run(["go", "build", *options, "-o", str(partial), "."], cwd=source, env={**os.environ, "CGO_ENABLED": "0"})
        partial.replace(target)
        stamp.write_text(wanted)


def digest(source: Path) -> str:
    """A hash over the names and bytes of a program's sources."""
    sums = hashlib.sha256()
    for file in sorted(source.iterdir()):
        sums.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return sums.hexdigest()


def pause_root(layout: Layout) -> Path:
    """A root directory with nothing but pause in it."""
    return layout.binaries / "pause"
