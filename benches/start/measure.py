"""Create a pod, watch it become Ready, delete it; variant after variant."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING

from benches.progress import BenchError, say
from benches.start import pods
from benches.start.trace import Trace
from benches.statistics import interleaved
from injector.inject.presence import proxy_container
from injector.kube.errors import AlreadyExists, NotFound
from injector.kube.resources import NAMESPACES, PODS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benches.start.pods import Variant
    from injector.kube.client import KubeClient

NAMESPACE = "bench-start"
# A pod of ours is Ready in 1 to 4 s; what takes this long will not be.
PATIENCE_SECONDS = 60.0
# The kubelet looks at its containers once a second (genericPlegRelistPeriod), and much of a start is waiting for that.
# Steps of the golden ratio spread the starts evenly over the second, whatever the number of rounds.
PLEG_SECONDS = 1.0
GOLDEN_RATIO = 0.618


async def measure(kube: KubeClient, variants: Sequence[Variant], rounds: int, node: str) -> dict[str, list[Trace]]:
    """`rounds` traces of each variant, by its name, one pod at a time."""
    traces: dict[str, list[Trace]] = {variant.name: [] for variant in variants}
    async with _namespace(kube):
        # One of each unmeasured: the first use of an image on a node unpacks it.
        for variant in variants:
            await _start(kube, variant, "warm-up", node)
        for turn, variant in interleaved(variants, rounds):
            await asyncio.sleep(GOLDEN_RATIO * turn % PLEG_SECONDS)
            trace = await _start(kube, variant, f"pod-{turn}", node)
            traces[variant.name].append(trace)
            say(f"start {turn + 1}/{rounds}: {variant.name}: {trace.ready:.2f} s")
    return traces


@contextlib.asynccontextmanager
async def _namespace(kube: KubeClient) -> AsyncIterator[None]:
    with contextlib.suppress(AlreadyExists):
        await kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        await _service_account(kube)
        yield
    finally:
        await kube.delete(NAMESPACES, name=NAMESPACE)


async def _service_account(kube: KubeClient) -> None:
    """Pods cannot be created before the namespace has its default ServiceAccount."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    give_up = monotonic() + PATIENCE_SECONDS
    while monotonic() < give_up:
        with contextlib.suppress(NotFound):
            await kube.request("GET", path)
            return
        await asyncio.sleep(0.1)
    raise BenchError(f"namespace {NAMESPACE} got no default ServiceAccount: does the controller manager run?")


async def _start(kube: KubeClient, variant: Variant, suffix: str, node: str) -> Trace:
    pod = pods.build(variant, f"start-{suffix}", node)
    trace = Trace(monotonic())
    created = await kube.create(PODS, pod, namespace=NAMESPACE)
    name, version = created["metadata"]["name"], created["metadata"]["resourceVersion"]
    try:
        if (proxy_container(created) is not None) != (variant is pods.MESHED):
            raise BenchError(f"{variant.name}: the pod {'has no' if variant is pods.MESHED else 'has a'} proxy")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _until_ready(kube, name, version, trace)
    except TimeoutError:
        raise BenchError(
            f"{variant.name}: the pod was not Ready after {PATIENCE_SECONDS:.0f} s; it had reached "
            f"{', '.join(trace.reached) or 'nothing'}"
        ) from None
    finally:
        await _delete(kube, name)
    return trace


async def _until_ready(kube: KubeClient, name: str, version: str, trace: Trace) -> None:
    selector = f"metadata.name={name}"
    watch = kube.watch(PODS, resource_version=version, namespace=NAMESPACE, field_selector=selector)
    async with contextlib.aclosing(watch) as events:
        async for kind, pod in events:
            if kind == "MODIFIED":
                trace.see(pod, monotonic())
            if trace.ready is not None:
                return
    raise BenchError(f"the watch of {name} ended before it was Ready")


async def _delete(kube: KubeClient, name: str) -> None:
    """Delete, and wait until it is gone: the next pod is not to share the kubelet with its ending."""
    await kube.delete(PODS, name=name, namespace=NAMESPACE, options={"gracePeriodSeconds": 0})
    with contextlib.suppress(NotFound):
        while True:
            await kube.get(PODS, name=name, namespace=NAMESPACE)
            await asyncio.sleep(0.05)
