"""Commands run in this process, as the console script runs them, and a cluster that is a dictionary."""

import contextlib
import io
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from injector.cli import main as main_module
from injector.kube.errors import KubeError, NotFound
from injector.kube.resources import Resource


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("inject", "-", stdin=b"…")`."""

    def call(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["injector", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = 0
        try:
            main_module.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@dataclass
class FakeKube:
    """An API server of raw objects by path. `refuse` maps (method, path) to the error that it gives."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: dict[tuple[str, str], KubeError] = field(default_factory=dict)
    log: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    after_patch: Callable[[str, dict[str, Any]], None] = lambda path, stored: None

    def put(self, resource: Resource, value: dict[str, Any]) -> None:
        metadata = value["metadata"]
        self.objects[resource.path(namespace=metadata.get("namespace"), name=metadata["name"])] = value

    def _record(self, method: str, path: str, body: Any = None) -> None:
        self.log.append((method, path, body))
        if error := self.refuse.get((method, path)):
            raise error

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None, **_: Any) -> dict[str, Any]:
        path = resource.path(namespace=namespace, name=name)
        self._record("GET", path)
        if path not in self.objects:
            raise NotFound(f"{path}: not found", status=404)
        return self.objects[path]

    async def list(
        self, resource: Resource, *, namespace: str | None = None, **_: Any
    ) -> AsyncIterator[dict[str, Any]]:
        self._record("GET", resource.path(namespace=namespace))
        for path, value in list(self.objects.items()):
            if path == resource.path(namespace=value["metadata"].get("namespace"), name=value["metadata"]["name"]) and (
                namespace is None or value["metadata"].get("namespace") == namespace
            ):
                yield value

    async def merge_patch(
        self, resource: Resource, body: dict[str, Any], *, name: str, namespace: str | None = None
    ) -> dict[str, Any]:
        path = resource.path(namespace=namespace, name=name)
        self._record("PATCH", path, body)
        if path not in self.objects:
            raise NotFound(f"{path}: not found", status=404)
        _merge(self.objects[path], body)
        self.after_patch(path, self.objects[path])
        return self.objects[path]

    async def apply(
        self, resource: Resource, body: dict[str, Any], *, namespace: str | None = None, **_: Any
    ) -> dict[str, Any]:
        path = resource.path(namespace=namespace, name=body["metadata"]["name"])
        self._record("APPLY", path, body)
        _merge(self.objects.setdefault(path, {}), body)
        return self.objects[path]

    async def delete(self, resource: Resource, *, name: str, namespace: str | None = None, **_: Any) -> None:
        path = resource.path(namespace=namespace, name=name)
        self._record("DELETE", path)
        if self.objects.pop(path, None) is None:
            raise NotFound(f"{path}: not found", status=404)

    async def request(self, method: str, path: str, **_: Any) -> Any:
        self._record(method, path)
        return self.answers[method, path]


def _merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """The cluster that every command of the test talks to."""
    fake = FakeKube()

    @contextlib.asynccontextmanager
    async def connect(**_: Any) -> AsyncIterator[FakeKube]:
        yield fake

    monkeypatch.setattr("injector.kube.client.connect", connect)
    return fake
