"""Fixtures of the cluster tier: a Kubernetes of two nodes, the mesh installed in it, a namespace a test.

INJECTOR_TEST_KUBECONFIG names a cluster to use; without it one is started from this checkout and left running, so that
the next run finds it (`scripts/cluster down` removes it). Nothing here skips: what is missing fails.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import pytest

from tests.cluster.support import app, diagnostics, leftovers, progress
from tests.cluster.support import cluster as clusters
from tests.cluster.support import mesh as meshes
from tests.cluster.support.api import Api
from tests.cluster.support.cluster import Cluster
from tests.cluster.support.mesh import Mesh
from tests.cluster.support.sandbox import Sandbox, is_ready

TEST_SECONDS: Final = 300
"""For one test; a marker of its own counts first."""

SANDBOXES: Final = pytest.StashKey[list[Sandbox]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let progress be seen while it happens."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        progress.uncaptured = capture.global_and_fixture_disabled


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A Kubernetes, with the test application's image on its nodes."""
    found = clusters.find_or_start()
    app.ensure(found)
    return found


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    """Its API server, as administrator."""
    with cluster.api() as client:
        if cluster.ours is not None:  # in somebody else's cluster runs of other machines may go on
            leftovers.sweep(client)
        yield client


@pytest.fixture(scope="session")
def mesh(cluster: Cluster, api: Api) -> Mesh:
    """The mesh of these sources, installed and ready."""
    return meshes.ensure(cluster, api)


@pytest.fixture(scope="session")
def nodes(api: Api) -> tuple[str, str]:
    """Two nodes, by name: whoever talks across nodes puts one pod on each."""
    names = sorted(node["metadata"]["name"] for node in api.list("Node") if is_ready(node))
    assert len(names) >= clusters.NODES, f"these tests need {clusters.NODES} ready nodes, and the cluster has {names}"
    return names[0], names[1]


@pytest.fixture
def new_namespace(request: pytest.FixtureRequest, cluster: Cluster, api: Api) -> Iterator[Callable[..., Sandbox]]:
    """A maker of namespaces: `new_namespace(meshed=True, annotations={}, labels={})`. All go with the test."""
    made: list[Sandbox] = []
    request.node.stash[SANDBOXES] = made

    def make(title: str = "", *, meshed: bool, **fields: Any) -> Sandbox:
        sandbox = Sandbox(cluster, api, title or request.node.name)
        made.append(sandbox)
        sandbox.open(meshed=meshed, **fields)
        return sandbox

    yield make
    for each in made:
        each.remove()


@pytest.fixture
def meshed(mesh: Mesh, new_namespace: Callable[..., Sandbox]) -> Sandbox:
    """A namespace of the test's own that is opted in."""
    return new_namespace(meshed=True)


@pytest.fixture
def plain(mesh: Mesh, new_namespace: Callable[..., Sandbox]) -> Sandbox:
    """A namespace of the test's own that never heard of the mesh."""
    return new_namespace(meshed=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what happened in a failed test's namespaces, before they are deleted."""
    report = yield
    if call.when in ("setup", "call") and report.failed:
        for sandbox in item.stash.get(SANDBOXES, []):
            report.sections.append((f"namespace {sandbox.name}", diagnostics.collect(sandbox)))
    return report


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this directory needs a cluster, and says so by its marker.

    Its time is limited without that of its fixtures: the first one may build a Kubernetes.
    """
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))
