"""What `enable` and `disable` share: the namespace's word, and the restarts that make it true for running pods."""

import asyncio
import datetime
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from injector.cli.checks.lines import count, some
from injector.cli.cluster import in_cluster
from injector.cli.documents.write import to_json
from injector.cli.live import namespace_of, read_installation
from injector.cli.options import Report
from injector.cli.outcome import CommandError
from injector.cli.rollout import Rollout, rollout
from injector.cli.terminal import emit
from injector.cli.workloads import lives
from injector.inject.model import Json
from injector.inject.names import ENABLED, INJECT, SYSTEM_NAMESPACES
from injector.inject.presence import proxy_container
from injector.inject.review import review_namespace
from injector.inject.unmeshed import unmeshed
from injector.kube.resources import DAEMON_SETS, DEPLOYMENTS, NAMESPACES, PODS, STATEFUL_SETS, Resource

if TYPE_CHECKING:
    from rich.progress import Progress

    from injector.kube.client import KubeClient

RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
"""The annotation of `kubectl rollout restart`, so that tools which know it understand what happened."""

_ROLLED: Final = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)

PATIENCE_SECONDS: Final = 600.0
"""As long as a Deployment may make no progress before Kubernetes itself calls it failed (progressDeadlineSeconds)."""

_POLL_SECONDS: Final = 1.0

Target: TypeAlias = tuple[Resource, str]


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of a namespace: what the webhook would warn of, which workloads were rolled, and which pods are not
    yet as their namespace now says."""

    namespace: str
    opted_in: bool
    warnings: tuple[str, ...]
    restarted: tuple[str, ...]
    remaining: tuple[str, ...]


def set_word(
    namespace: str,
    word: str | None,
    *,
    restart: bool,
    output: Report = Report.TEXT,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Annotates the namespace with `word` (None removes it), says what that means, and restarts where asked."""
    if namespace in SYSTEM_NAMESPACES:
        raise CommandError(
            f"namespace {namespace} cannot be in the mesh: no webhook ever sees it, so that it can start"
        )
    text = output is Report.TEXT
    adopted = in_cluster(kubeconfig, context, lambda kube: _adopt(kube, namespace, word, restart=restart, text=text))
    if not text:
        emit(to_json(asdict(adopted)))


async def _adopt(kube: "KubeClient", namespace: str, word: str | None, *, restart: bool, text: bool) -> Adopted:
    from injector.cli.terminal import note, show, styled

    # The label as well, which the webhook would derive: where the annotation stood already but its label never came
    # (it was annotated before the installation), the annotation alone would change nothing and reach no webhook.
    body = {"metadata": {"annotations": {INJECT: word}, "labels": {INJECT: word}}}
    stored = await kube.merge_patch(NAMESPACES, body, name=namespace)
    if text:
        said = f"namespace {namespace} is {'opted in' if word else 'taken out of the mesh'}"
        show(styled(("✓ ", "bold green"), said))
    warnings = tuple(review_namespace(stored).warnings)
    for warning in warnings:
        note(styled(("! ", "bold yellow"), warning))
    restarted = await _restart(kube, namespace) if restart else []
    remaining = await _say_what_remains(kube, stored, restarted=restart)
    return Adopted(namespace, word is not None, warnings, tuple(map(_title, restarted)), remaining)


async def _say_what_remains(kube: "KubeClient", stored: Json, *, restarted: bool) -> tuple[str, ...]:
    """Names the pods that are not yet as their namespace now says."""
    from injector.cli.terminal import note

    namespace = namespace_of(stored)
    installation, _ = await read_installation(kube)
    pods = [pod async for pod in kube.list(PODS, namespace=namespace.name) if lives(pod)]
    if namespace.opted_in:
        how, stale = "without a proxy", [pod for pod in pods if unmeshed(pod, namespace, installation)]
    else:
        how, stale = "with a proxy", [pod for pod in pods if proxy_container(pod) is not None and not _own_wish(pod)]
    if stale:
        why = (
            "no workload rolls them, so make them anew yourself" if restarted else "until they are replaced (--restart)"
        )
        names = ", ".join(some([pod["metadata"]["name"] for pod in stale]))
        note(f"{count(len(stale), 'pod')} {how}, {why}: {names}")
    return tuple(pod["metadata"]["name"] for pod in stale)


def _own_wish(pod: Json) -> bool:
    return (pod["metadata"].get("annotations") or {}).get(INJECT) == ENABLED


async def _restart(kube: "KubeClient", namespace: str) -> list[Target]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}
    targets: list[Target] = []
    for resource in _ROLLED:
        async for found in kube.list(resource, namespace=namespace):
            name = found["metadata"]["name"]
            await kube.merge_patch(resource, body, namespace=namespace, name=name)
            targets.append((resource, name))
    await _follow(kube, namespace, targets)
    return targets


async def _follow(kube: "KubeClient", namespace: str, targets: list[Target]) -> None:
    """Waits until every target is rolled out; ends the command with those that are not."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    pending, stuck = dict.fromkeys(targets), {}
    with _progress() as progress:
        tasks = {target: progress.add_task(_title(target), total=None) for target in targets}
        while pending and asyncio.get_running_loop().time() < deadline:
            for target in list(pending):
                resource, name = target
                found = await kube.get(resource, namespace=namespace, name=name)
                state = rollout({**found, "kind": resource.kind})
                progress.update(tasks[target], completed=state.done, total=state.total)
                if state.finished or state.stuck:
                    del pending[target]
                    _report(progress, target, state)
                if state.stuck:
                    stuck[target] = state.stuck
            await asyncio.sleep(_POLL_SECONDS if pending else 0)
    faults = [f"{_title(target)}: {why}" for target, why in stuck.items()]
    faults += [f"{_title(target)}: not rolled out after {PATIENCE_SECONDS:.0f} s" for target in pending]
    if faults:
        raise CommandError(*faults)


def _title(target: Target) -> str:
    return f"{target[0].kind} {target[1]}"


def _report(progress: "Progress", target: Target, state: Rollout) -> None:
    from injector.cli.terminal import styled

    if state.stuck:
        progress.console.print(styled(("✗ ", "bold red"), f"{_title(target)}: {state.stuck}"))
    else:
        progress.console.print(styled(("✓ ", "bold green"), f"{_title(target)}: {count(state.total, 'pod')} replaced"))


def _progress() -> "Progress":
    """Bars on standard error where that is a terminal; elsewhere only the lines that _report prints."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from injector.cli.terminal import console

    shown = console(sys.stderr)
    return Progress(
        TextColumn("  {task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    )
