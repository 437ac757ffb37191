"""The API server, spoken to without a process a request: `kubectl proxy` on a Unix socket, and HTTP over it.

Unlike kubectl this gives warnings, refusals and watches as data.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import httpx

from tests.cluster.support.errors import ApiError
from tests.cluster.support.kinds import Json, path

REQUEST_SECONDS: Final = 30.0
"""Above the 5 s of each of three webhook entries, twice for a reinvocation."""

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"

ABSENT: Final = "ABSENT"
"""Our own event: nothing is there to begin with."""

WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class Answer(NamedTuple):
    """What the API server made of an object, and what it warned of meanwhile."""

    object: Json
    warnings: tuple[str, ...]


class Api:
    """A client; safe to use from several threads."""

    def __init__(self, socket: Path) -> None:
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://localhost", timeout=REQUEST_SECONDS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create(self, body: Json, namespace: str = "", *, dry_run: bool = False) -> Answer:
        """POST an object; its own namespace counts where none is given. Refused: ApiError."""
        namespace = namespace or body.get("metadata", {}).get("namespace", "")
        parameters = {"dryRun": "All"} if dry_run else {}
        return self.send("POST", path(body["kind"], namespace), body, **parameters)

    def get(self, kind: str, name: str, namespace: str = "") -> Json:
        """One object; ApiError with status 404 where there is none."""
        return self.send("GET", path(kind, namespace, name)).object

    def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Json]:
        """Objects of a kind, in one namespace or in all, by label and field selectors."""
        answer = self.send("GET", path(kind, namespace), labelSelector=labels, fieldSelector=fields)
        return list(answer.object["items"])

    def patch(self, kind: str, name: str, change: Any, namespace: str = "", *, subresource: str = "") -> Answer:
        """A merge patch (dict), or a JSON patch (list of operations)."""
        content = JSON_PATCH if isinstance(change, list) else MERGE_PATCH
        return self.send("PATCH", path(kind, namespace, name, subresource), change, content)

    def delete(self, kind: str, name: str, namespace: str = "", *, grace_seconds: int | None = None) -> None:
        """Begin to delete an object; one that is gone already is fine."""
        options = {} if grace_seconds is None else {"gracePeriodSeconds": str(grace_seconds)}
        try:
            self.send("DELETE", path(kind, namespace, name), propagationPolicy="Background", **options)
        except ApiError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    def text(self, url: str, **parameters: str) -> str:
        """The body at a path, as it is: `/readyz`, a log, or what a pod serves."""
        answer = self._http.get(url, params={name: value for name, value in parameters.items() if value})
        if answer.is_error:
            raise ApiError(answer.status_code, answer.reason_phrase, answer.text[:500])
        return answer.text

    def send(
        self, method: str, url: str, body: Any = None, content: str = "application/json", **parameters: str
    ) -> Answer:
        """Any request; parameters that are empty are left out."""
        answer = self._http.request(
            method,
            url,
            params={name: value for name, value in parameters.items() if value},
            content=None if body is None else json.dumps(body),
            headers={"content-type": content},
        )
        warnings = tuple(_warnings(answer.headers.get_list("warning")))
        if answer.is_error:
            raise _refusal(answer, warnings)
        return Answer(answer.json(), warnings)

    def wait(
        self, kind: str, name: str, namespace: str, holds: Callable[[Json], bool], *, seconds: float, what: str
    ) -> Json:
        """Watch one object (which need not exist yet) until it `holds`; fail with `what` and its last status."""
        last: Json = {}
        for _, each in self.watch(kind, namespace, fields=f"metadata.name={name}", seconds=seconds):
            last = each
            if holds(last):
                return last
        raise AssertionError(f"{kind} {namespace}/{name}: not within {seconds:g} s: {what}; {_summary(last)}")

    def wait_gone(self, kind: str, name: str, namespace: str = "", *, seconds: float) -> None:
        """Watch until there is no such object."""
        for event, _ in self.watch(kind, namespace, fields=f"metadata.name={name}", seconds=seconds, absence=True):
            if event in ("DELETED", ABSENT):
                return
        raise AssertionError(f"{kind} {namespace}/{name} is still there after {seconds:g} s")

    def watch(
        self,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        seconds: float,
        absence: bool = False,
    ) -> Iterator[tuple[str, Json]]:
        """(event, object) for at most `seconds`: what is there, as ADDED, and what then happens.

        `absence` asks for one ABSENT event first where nothing is there. What is there is listed and not left to the
        watch, which would answer from a cache: a state from before our last change must not pass for the new one.
        """
        deadline = time.monotonic() + seconds
        url, selectors = path(kind, namespace), {"labelSelector": labels, "fieldSelector": fields}
        there = self.send("GET", url, **selectors).object
        if absence and not there["items"]:
            yield ABSENT, {}
        for each in there["items"]:
            yield "ADDED", each
        version = there["metadata"]["resourceVersion"]
        while (left := deadline - time.monotonic()) > 0:
            parameters = {"watch": "true", **selectors, "resourceVersion": version}
            with self._stream(url, parameters, left) as lines:
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise AssertionError(f"the API server ended the watch: {event['object']}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    yield event["type"], event["object"]

    @contextmanager
    def _stream(self, url: str, parameters: dict[str, str], seconds: float) -> Iterator[Iterator[str]]:
        """The lines of an answer until `seconds` are over, which the server knows too (it counts whole ones)."""
        parameters = {name: value for name, value in parameters.items() if value}
        parameters["timeoutSeconds"] = str(max(1, int(seconds)))
        with self._http.stream("GET", url, params=parameters, timeout=max(1.0, seconds)) as answer:
            if answer.is_error:
                answer.read()
                raise _refusal(answer, ())
            yield _until_silence(answer.iter_lines())


def _until_silence(lines: Iterator[str]) -> Iterator[str]:
    try:
        yield from lines
    except httpx.ReadTimeout:
        return


def _warnings(headers: list[str]) -> Iterator[str]:
    """The texts of `299 - "text"` headers (RFC 7234, section 5.5), several of which may share a line."""
    for header in headers:
        for text in WARNING.findall(header):
            yield re.sub(r"\\(.)", r"\1", text)


def _refusal(answer: httpx.Response, warnings: tuple[str, ...]) -> ApiError:
    try:
        status = answer.json()
    except ValueError:
        status = {}
    return ApiError(
        answer.status_code, status.get("reason", answer.reason_phrase), status.get("message", answer.text), warnings
    )


def _summary(last: Json) -> str:
    return f"last status: {json.dumps(last.get('status', {}))[:2000]}" if last else "it never existed"
