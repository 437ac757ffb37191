"""What the nodes have written down: every file that a cluster's daemons and containers have changed since a moment."""

import mmap
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kubernetes.layout import Layout
from tests.cluster.kubernetes.shell import Failure
from tests.cluster.support.cluster import Cluster


@dataclass
class Finding:
    """Files by the name of the secret that stands in them, relative to the cluster's directory; and what was read."""

    where: dict[str, list[str]]
    files: int = 0
    size: int = 0


def containing(cluster: Cluster, secrets: Mapping[str, Iterable[bytes]], *, since: float) -> Finding:
    """The files in which any spelling of each secret stands.

    Only files changed after `since` (seconds since 1970): no other can hold what was made later. What lies in memory
    (tmpfs) is not on a disk, and not looked at.
    """
    if cluster.ours is None:
        raise Failure("reading the nodes' disks needs a cluster started by scripts/cluster, on this machine")
    found = Finding({name: [] for name in secrets})
    for file in _written(cluster.ours, since):
        text = _content(file)
        found.files += 1
        found.size += len(text)
        for name, spellings in secrets.items():
            if any(text.find(spelling) >= 0 for spelling in spellings):
                found.where[name].append(str(file.relative_to(cluster.ours.state)))
    return found


def _written(layout: Layout, since: float) -> Iterator[Path]:
    disk = layout.state.stat().st_dev
    for folder, folders, files in os.walk(layout.state):
        here = Path(folder)
        # Another device is memory, or a container's view of files that are looked at where they lie.
        folders[:] = [name for name in folders if _device(here / name) == disk]
        for name in files:
            file = here / name
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue  # it was temporary, and is gone
            if stat.S_ISREG(status.st_mode) and status.st_size > 0 and status.st_ctime >= since:
                yield file


def _device(folder: Path) -> int:
    try:
        return folder.lstat().st_dev
    except FileNotFoundError:
        return -1


def _content(file: Path) -> mmap.mmap | bytes:
    """A file's bytes, without copying them; nothing where it has gone, or has become empty."""
    try:
        with file.open("rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):
        return b""
