"""The Debian packages that a cluster stands on, installed when a program of theirs is missing."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .shell import Failure, run, step

if TYPE_CHECKING:
    from collections.abc import Mapping

CNI_PLUGINS = Path("/usr/lib/cni")

# A program that shows that the package is there -> the package.
CLUSTER: Mapping[str, str] = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "sysctl": "procps",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "mount": "mount",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
}
IMAGES: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}

# Package lists older than this may name versions that the mirrors no longer hold.
STALE_AFTER_SECONDS = 24 * 3600
APT_LISTS = Path("/var/lib/apt/lists")


def ensure(wanted: Mapping[str, str]) -> None:
    """Install what is missing of `wanted` (program -> package), with fresh package lists if they are old."""
    missing = sorted({package for program, package in wanted.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Failure(f"this machine has no apt-get; install what gives these Debian packages: {', '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if _lists_are_stale():
        with step("refreshing the package lists"):
            run(["apt-get", "update", "-qq"], env=quiet)
    with step(f"installing {', '.join(missing)}"):
        # An interrupted earlier installation leaves packages unpacked but not configured, and apt refuses to go on.
        run(["dpkg", "--configure", "-a"], env=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=quiet)
    still = sorted({package for program, package in wanted.items() if shutil.which(program) is None})
    if still:
        raise Failure(f"installed, but their programs are still not on PATH: {', '.join(still)}")


def _lists_are_stale() -> bool:
    lists = [file.stat().st_mtime for file in APT_LISTS.glob("*_Packages*")]
    updated = max([*lists, _update_stamp()], default=0.0)
    return not lists or time.time() - updated > STALE_AFTER_SECONDS


def _update_stamp() -> float:
    """When apt last wrote its list directory: unchanged lists keep the mirror's date, the directory does not."""
    partial = APT_LISTS / "partial"
    return partial.stat().st_mtime if partial.exists() else 0.0
