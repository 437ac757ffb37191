"""What a person types: `scripts/cluster COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import base_images, images, lifecycle
from .layout import FIRST, MAX_NODES, Layout
from .shell import Failure, say

EPILOG = """\
examples:
  scripts/cluster up --nodes 2                      two nodes, each in a zone of its own
  scripts/cluster in kubectl get pods -A            from inside the cluster's network, as its administrator
  scripts/cluster in bash                           a shell there
  scripts/cluster base-images && STORAGE_DRIVER=overlay BUILDAH_ISOLATION=chroot \\
    buildah bud --pull-never --network host -t shop . && scripts/cluster load shop
  INJECTOR_CLUSTER_DIR=/tmp/second scripts/cluster up    a second cluster beside the first

exit codes: 0 done; 1 failed, and why on standard error; 2 wrong usage; `in`: the command's own, or 125 when no
cluster runs; `status`: 0 all runs, 1 something does not, 3 no cluster.
"""
NOT_UP, NO_CLUSTER = 125, 3


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.command == "base-images" and (unknown := set(arguments.images) - set(base_images.TAGS)):
        parser.error(f"no base image {', '.join(sorted(unknown))}; there are {', '.join(base_images.TAGS)}")
    layout = Layout.from_environment()
    if os.geteuid() != 0:
        say("error: a cluster needs root, for network namespaces and cgroups")
        return 1
    try:
        return _dispatch(layout, arguments)
    except Failure as failure:
        say(f"error: {failure}")
        return NOT_UP if arguments.command == "in" else 1
    except KeyboardInterrupt:
        say("\ninterrupted; run the same command again to go on")
        return 130


def _dispatch(layout: Layout, arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "up":
            with lifecycle.locked(layout):
                lifecycle.up(layout, arguments.nodes, api_only=arguments.api_only)
            say("ready: `scripts/cluster in kubectl get nodes`, and `scripts/cluster down` when done")
        case "down":
            with lifecycle.locked(layout):
                lifecycle.down(layout)
        case "status":
            return _status(layout)
        case "in":
            _enter(layout, arguments.program)
        case "load":
            _load(layout, arguments.images)
        case "image":
            _import(layout, arguments)
        case "base-images":
            base_images.ensure(arguments.images)
    return 0


def _status(layout: Layout) -> int:
    if not lifecycle.is_up(layout):
        print(f"no cluster at {layout.state}")
        return NO_CLUSTER
    return 0 if lifecycle.status(layout) else 1


def _load(layout: Layout, names: list[str]) -> None:
    lifecycle.require_up(layout)
    for name in names:
        if not images.load(layout, layout.existing_nodes(), name):
            say(f"  {images.full_name(name)} is already there")


def _import(layout: Layout, arguments: argparse.Namespace) -> None:
    lifecycle.require_up(layout)
    root, words, user = arguments.root.absolute(), arguments.entrypoint, arguments.user
    images.import_directory(layout, layout.existing_nodes(), arguments.name, root, entrypoint=words, user=user)


def _enter(layout: Layout, program: list[str]) -> None:
    """Become the program, in node 1's network namespace; its exit code is then ours."""
    lifecycle.require_up(layout)
    if not program:
        raise Failure("`in` wants a command to run, such as `scripts/cluster in kubectl get pods -A`")
    environment = {
        **os.environ,
        "KUBECONFIG": str(layout.kubeconfig),
        "PATH": f"{layout.binaries}:{os.environ['PATH']}",
    }
    try:
        os.execvpe("nsenter", ["nsenter", f"--net=/run/netns/{layout.namespace(FIRST)}", *program], environment)
    except OSError as error:
        raise Failure(f"cannot run nsenter: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/cluster",
        description="A real Kubernetes on this machine, in network namespaces of its own; no images, no registry.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start all that does not run; again after a crash, it repairs")
    node_counts = range(1, MAX_NODES + 1)
    up.add_argument(
        "--nodes", type=int, choices=node_counts, metavar="N", help="how many nodes (default: 1, or as before)"
    )
    up.add_argument("--api-only", action="store_true", help="etcd, API server and controller manager; no nodes")

    commands.add_parser("down", help="stop it and forget its state; built binaries and base images stay")
    commands.add_parser("status", help="what runs and what does not")

    inside = commands.add_parser("in", help="run a command in the cluster's network, with its kubeconfig and kubectl")
    inside.add_argument("program", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")

    load = commands.add_parser("load", help="hand images that buildah built to every node that lacks them")
    load.add_argument("images", nargs="+", metavar="IMAGE", help="as `buildah images` names it")

    image = commands.add_parser("image", help="hand a root directory to every node as an image")
    image.add_argument("name", metavar="NAME")
    image.add_argument("root", type=Path, metavar="ROOTDIR")
    image.add_argument("--entrypoint", nargs="+", default=[], metavar="WORD", help="what the image runs")
    image.add_argument("--user", default="", help="as whom it runs (default: root)")

    bases = commands.add_parser("base-images", help="make local stand-ins for the base images of our Dockerfiles")
    bases.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(base_images.TAGS)} (default: all)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
