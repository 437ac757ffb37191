"""This checkout's mesh on the cluster that `scripts/cluster` runs: what is measured is what stands here."""

from __future__ import annotations

import sys
from pathlib import Path

from benches.cluster import SCRIPT
from benches.processes import ROOT, output_of
from benches.progress import say
from benches.start import pods
from injector.inject.names import SYSTEM_NAMESPACE

DEPLOYMENTS = ("deployment/injector-controller", "deployment/injector-webhook")
# From nothing, the images take minutes to build.
_BUILD_SECONDS = 1800.0
_ROLLOUT_SECONDS = 180


def install() -> None:
    """Build and load the images (the measured pods' too), apply the manifests, and wait until the newest serve."""
    say("building and loading the images")
    output_of([ROOT / "scripts" / "images", "--load", "proxy", "controller"], seconds=_BUILD_SECONDS)
    output_of([SCRIPT, "load", pods.IMAGE])
    say("installing the mesh")
    manifests = output_of([Path(sys.executable).parent / "injector", "install"])
    _kubectl("apply", "-f", "-", given=manifests)
    # The image's name is the same for every build of a version: only a restart is sure to run the newest.
    _kubectl("rollout", "restart", "-n", SYSTEM_NAMESPACE, *DEPLOYMENTS)
    for deployment in DEPLOYMENTS:
        _kubectl("rollout", "status", "-n", SYSTEM_NAMESPACE, deployment, f"--timeout={_ROLLOUT_SECONDS}s")


def _kubectl(*words: str, given: str | None = None) -> None:
    output_of([SCRIPT, "in", "kubectl", *words], given=given, seconds=_ROLLOUT_SECONDS + 10)
