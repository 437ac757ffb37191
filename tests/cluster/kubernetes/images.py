"""Handing images to the nodes: no registry is involved."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .shell import Failure, run, step

if TYPE_CHECKING:
    from .layout import Layout, Node

# The label that remembers which build an image on a node came from.
SOURCE_LABEL = "injector.mesh/source"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# buildah's own default (vfs) copies every layer whole.
STORAGE = {"STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "overlay")}


def full_name(name: str) -> str:
    """The name as containerd and kubelet spell it: `shop` -> `docker.io/library/shop:latest`."""
    first, _, rest = name.partition("/")
    if not rest:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def present(layout: Layout, node: Node) -> dict[str, str]:
    """The images of a node: name -> the build it came from ("" when it came otherwise)."""
    found: dict[str, str] = {}
    for line in run(_ctr(layout, node, "images", "list")).splitlines()[1:]:
        if words := line.split():
            label = re.search(rf"{re.escape(SOURCE_LABEL)}=([^,\s]+)", line)
            found[words[0]] = label[1] if label else ""
    return found


def load(layout: Layout, nodes: list[Node], name: str) -> bool:
    """Hand an image that buildah built to every node that does not have this build. Returns whether any lacked it."""
    target = full_name(name)
    build = _build_of(name)
    lacking = [node for node in nodes if present(layout, node).get(target) != build]
    if not lacking:
        return False
    with step(f"loading {target}"), tempfile.TemporaryDirectory(dir=layout.state) as folder:
        archive = Path(folder) / "image.tar"
        run(["buildah", "push", "-q", name, f"docker-archive:{archive}:{target}"], env={**os.environ, **STORAGE})
        _import(layout, lacking, archive)
        for node in lacking:
            run(_ctr(layout, node, "images", "label", target, f"{SOURCE_LABEL}={build}"))
    return True


def import_directory(
    layout: Layout, nodes: list[Node], name: str, root: Path, *, entrypoint: list[str], user: str = ""
) -> None:
    """Hand a root directory to every node as an image of one layer."""
    with tempfile.TemporaryDirectory(dir=layout.state) as folder:
        layer, archive = Path(folder) / "layer.tar", Path(folder) / "image.tar"
        run(["tar", "-C", root, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-cf", layer, "."])
        with layer.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        _write_archive(archive, full_name(name), layer, _image_config(sha256, entrypoint, user))
        _import(layout, nodes, archive)


def copy(layout: Layout, source: Node, target: Node) -> None:
    """Give a node that joins later the images that another one has."""
    have = present(layout, target)
    wanted = {name: build for name, build in present(layout, source).items() if name not in have and "@" not in name}
    wanted = {name: build for name, build in wanted.items() if not name.startswith("sha256:")}
    if not wanted:
        return
    with tempfile.TemporaryDirectory(dir=layout.state) as folder:
        archive = Path(folder) / "images.tar"
        run(_ctr(layout, source, "images", "export", str(archive), *wanted))
        _import(layout, [target], archive)
        for name, build in wanted.items():
            if build:
                run(_ctr(layout, target, "images", "label", name, f"{SOURCE_LABEL}={build}"))


def rename(layout: Layout, node: Node, name: str, other: str) -> None:
    """Give an image of a node another name besides its own."""
    run(_ctr(layout, node, "images", "tag", "--force", full_name(name), full_name(other)))


def _ctr(layout: Layout, node: Node, *arguments: str) -> list[str]:
    return ["ctr", "--address", str(layout.containerd(node)), "--namespace", "k8s.io", *arguments]


def _build_of(name: str) -> str:
    """buildah's id of an image: a hash over its configuration and layers."""
    command = ["buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", name]
    try:
        return run(command, env={**os.environ, **STORAGE}).strip()
    except Failure as unknown:
        raise Failure(f"buildah has no image {name!r}; `buildah images` lists what there is\n{unknown}") from unknown


def _import(layout: Layout, nodes: list[Node], archive: Path) -> None:
    """Import into all nodes at once; unpacking is mostly waiting for the disk."""
    commands = [_ctr(layout, node, "images", "import", str(archive)) for node in nodes]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for words in commands]
    faults = []
    for node, process in zip(nodes, running, strict=True):
        output, _ = process.communicate()
        if process.returncode != 0:
            faults.append(f"{node.name}: {output.decode(errors='replace').strip()}")
    if faults:
        raise Failure("containerd did not take the image:\n" + "\n".join(faults))


def _image_config(layer_sha256: str, entrypoint: list[str], user: str) -> bytes:
    return json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "User": user, "Env": [PATH]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sha256}"]},
            "history": [{"created_by": "scripts/cluster image"}],
        }
    ).encode()


def _write_archive(archive: Path, name: str, layer: Path, config: bytes) -> None:
    """The format of `docker save`: the layer, the image's configuration, and a manifest that names both."""
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [layer.name]}]).encode()
    with tarfile.open(archive, "w") as tar:
        for member, content in ((config_name, config), ("manifest.json", manifest)):
            header = tarfile.TarInfo(member)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
        tar.add(layer, layer.name)
