"""Local stand-ins for the base images that our Dockerfiles name, for machines that reach no image registry.

They are made from Debian's packages and this machine's Rust, and live in buildah's storage under the very names that
the Dockerfiles use, so that `buildah bud --pull-never` finds them. Where a registry can be reached, nothing here is
needed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from . import packages
from .images import PATH, STORAGE
from .shell import Failure, run, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layout import Layout

DEBIAN, PYTHON, RUST = "debian:bookworm-slim", "python:3.11-slim-bookworm", "rust:1-slim-bookworm"
SUITE = "bookworm"
PYTHON_PACKAGES = ("python3", "python3-venv", "python3-pip")
RUST_PACKAGES = ("gcc", "g++", "make", "cmake", "pkg-config", "libc6-dev", "protobuf-compiler")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What tells apt how this machine reaches Debian: mirrors and proxies, but no third party's repository.
APT_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
ENVIRONMENT = {**os.environ, **STORAGE, "BUILDAH_ISOLATION": "chroot"}


def ensure(layout: Layout) -> None:
    """Make those of the three that buildah does not have."""
    packages.ensure(packages.IMAGES)
    missing = [tag for tag in (DEBIAN, PYTHON, RUST) if not _have(tag)]
    if not missing:
        return
    work = layout.cache / "base-images"
    shutil.rmtree(work, ignore_errors=True)  # whatever a killed run left
    work.mkdir(parents=True)
    try:
        debian = _bootstrap(work / "debian")
        if DEBIAN in missing:
            _commit(DEBIAN, debian, ["--env", PATH, "--cmd", "/bin/bash"])
        if PYTHON in missing:
            _commit(PYTHON, _with_python(debian, work / "python"), ["--env", PATH, "--cmd", "python3"])
        if RUST in missing:
            cargo = ["--env", "CARGO_HOME=/usr/local/cargo", "--env", "RUSTUP_HOME=/usr/local/rustup"]
            path = PATH.replace("PATH=", "PATH=/usr/local/cargo/bin:")
            _commit(RUST, _with_rust(debian, work / "rust"), ["--env", path, *cargo, "--cmd", "/bin/bash"])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _have(tag: str) -> bool:
    named = f"reference=docker.io/library/{tag}"
    return bool(run(["buildah", "images", "--quiet", "--filter", named], env=ENVIRONMENT))


def _bootstrap(root: Path) -> Path:
    with step("bootstrapping Debian (a minute)"):
        run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, root])
        shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        if APT_SOURCES.exists():
            shutil.copy(APT_SOURCES, root / APT_SOURCES.relative_to("/"))
            (root / "etc/apt/sources.list").unlink(missing_ok=True)
        _slim(root)
    return root


def _with_python(debian: Path, root: Path) -> Path:
    with step("adding Python"):
        _install(debian, root, PYTHON_PACKAGES)
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        # The real image's Python is its own, not Debian's, so pip may install into it.
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    return root


def _with_rust(debian: Path, root: Path) -> Path:
    home = Path.home()
    toolchain = Path(run(["rustc", "--print", "sysroot"]).strip())
    if not toolchain.is_relative_to(home / ".rustup/toolchains"):
        raise Failure(f"the Rust base image copies a rustup toolchain, and rustc's is at {toolchain}")
    with step("adding Rust"):
        _install(debian, root, RUST_PACKAGES)
        run(["cp", "-a", home / ".cargo/bin", _made(root / "usr/local/cargo")])
        run(["cp", "-a", toolchain, _made(root / "usr/local/rustup/toolchains")])
        shutil.rmtree(root / "usr/local/rustup/toolchains" / toolchain.name / "share/doc", ignore_errors=True)
        shutil.copy(home / ".rustup/settings.toml", root / "usr/local/rustup")
    return root


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _install(debian: Path, root: Path, names: Sequence[str]) -> None:
    """Copy the bootstrapped Debian and install packages inside."""
    run(["cp", "-a", debian, root])
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    inside = ["chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive"]
    run([*inside, "apt-get", "update", "-qq"])
    run([*inside, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *names])
    _slim(root)


def _slim(root: Path) -> None:
    """Leave out what "slim" leaves out, and what apt can fetch again: half of the size, loaded on every node."""
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists"):
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir()
    for archive in (root / "var/cache/apt").rglob("*.*"):
        archive.unlink()


def _commit(tag: str, root: Path, settings: Sequence[str]) -> None:
    with step(f"storing {tag}"):
        container = run(["buildah", "from", "scratch"], env=ENVIRONMENT).strip()
        try:
            run(["buildah", "add", "--quiet", container, root, "/"], env=ENVIRONMENT)
            run(["buildah", "config", *settings, container], env=ENVIRONMENT)
            run(["buildah", "commit", "--quiet", container, f"docker.io/library/{tag}"], env=ENVIRONMENT)
        finally:
            run(["buildah", "rm", container], env=ENVIRONMENT)
