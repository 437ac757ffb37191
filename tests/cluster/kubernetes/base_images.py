"""Local stand-ins for the base images that our Dockerfiles name, for machines that reach no image registry.

They are made from Debian's packages and this machine's Rust, and live in buildah's storage under the very names that
the Dockerfiles use, so that `buildah bud --pull-never` finds them. Python's and Rust's stand on Debian's, so that the
images built on them share a layer. An image that buildah has already, real or not, is left alone.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from . import packages
from .images import PATH, STORAGE
from .shell import Failure, run, step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEBIAN, PYTHON, RUST = "debian", "python", "rust"
TAGS = {DEBIAN: "debian:bookworm-slim", PYTHON: "python:3.11-slim-bookworm", RUST: "rust:1-slim-bookworm"}
SUITE = "bookworm"
PYTHON_PACKAGES = ("python3", "python3-venv", "python3-pip")
RUST_PACKAGES = ("gcc", "libc6-dev")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What tells apt how this machine reaches Debian: mirrors and proxies, but no third party's repository.
APT_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
# As in the real images: packages come without documentation, and apt keeps neither archives nor its 80 MB of indexes.
SLIM_SETTINGS = {
    "etc/dpkg/dpkg.cfg.d/slim": "".join(
        f"path-exclude /usr/share/{folder}/*\n" for folder in ("doc", "info", "locale", "man")
    ),
    "etc/apt/apt.conf.d/slim": """\
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
""",
}
ENVIRONMENT = {**os.environ, **STORAGE, "BUILDAH_ISOLATION": "chroot"}


def ensure(names: Sequence[str]) -> None:
    """Make those of `names` (keys of TAGS; none means all) that buildah does not have."""
    packages.ensure(packages.IMAGES)
    missing = [name for name in names or TAGS if not _have(name)]
    if not missing:
        return
    if not _have(DEBIAN):
        _make_debian()
    if PYTHON in missing:
        _make_python()
    if RUST in missing:
        _make_rust()


def _make_debian() -> None:
    with step(f"bootstrapping {TAGS[DEBIAN]} (a minute)"), _container(DEBIAN, "scratch") as root:
        run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, root])
        shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        if APT_SOURCES.exists():
            shutil.copy(APT_SOURCES, root / APT_SOURCES.relative_to("/"))
            (root / "etc/apt/sources.list").unlink(missing_ok=True)
        for path, text in SLIM_SETTINGS.items():
            (root / path).write_text(text)
        _slim(root)
        _configure(DEBIAN, "--env", PATH, "--cmd", "/bin/bash")


def _make_python() -> None:
    with step(f"making {TAGS[PYTHON]}"), _container(PYTHON, TAGS[DEBIAN]) as root:
        _install(root, PYTHON_PACKAGES)
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        # The real image's Python is its own, not Debian's, so pip may install into it.
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
        _configure(PYTHON, "--cmd", "python3")


def _make_rust() -> None:
    home = Path.home()
    toolchain = Path(run(["rustc", "--print", "sysroot"]).strip())
    if not toolchain.is_relative_to(home / ".rustup/toolchains"):
        raise Failure(f"the Rust base image copies a rustup toolchain, and rustc's is at {toolchain}")
    with step(f"making {TAGS[RUST]}"), _container(RUST, TAGS[DEBIAN]) as root:
        _install(root, RUST_PACKAGES)
        cargo, rustup = root / "usr/local/cargo", root / "usr/local/rustup"
        shutil.copytree(home / ".cargo/bin", cargo / "bin", symlinks=True)
        documentation = shutil.ignore_patterns("doc", "man")  # more than half of a toolchain
        shutil.copytree(toolchain, rustup / "toolchains" / toolchain.name, symlinks=True, ignore=documentation)
        shutil.copy(home / ".rustup/settings.toml", rustup)
        settings = ["--env", "CARGO_HOME=/usr/local/cargo", "--env", "RUSTUP_HOME=/usr/local/rustup"]
        _configure(RUST, *settings, "--env", PATH.replace("PATH=", "PATH=/usr/local/cargo/bin:"))


def _buildah(*arguments: str | Path) -> str:
    return run(["buildah", *arguments], env=ENVIRONMENT).strip()


def _have(name: str) -> bool:
    return bool(_buildah("images", "--quiet", "--filter", f"reference=docker.io/library/{TAGS[name]}"))


@contextmanager
def _container(name: str, base: str) -> Iterator[Path]:
    """The mounted root of a working container; what is in it at the end becomes the image `name`."""
    container = _container_name(name)
    with suppress(Failure):
        _buildah("rm", container)  # a killed run's
    _buildah("from", "--quiet", "--pull-never", "--name", container, base)
    try:
        yield Path(_buildah("mount", container))
        _buildah("commit", "--quiet", container, f"docker.io/library/{TAGS[name]}")
    finally:
        _buildah("rm", container)


def _container_name(name: str) -> str:
    return f"injector-base-{name}"


def _configure(name: str, *settings: str) -> None:
    _buildah("config", *settings, _container_name(name))


def _install(root: Path, names: Sequence[str]) -> None:
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    inside = ["chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive"]
    run([*inside, "apt-get", "update", "-qq"])
    run([*inside, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *names])
    _slim(root)


def _slim(root: Path) -> None:
    """Remove what SLIM_SETTINGS came too late for, and what apt can fetch again."""
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists"):
        for entry in (root / folder).iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    for archive in (root / "var/cache/apt").rglob("*.*"):
        archive.unlink()
