"""The table of pods: YAML files in `pods/` for what can be written down, `generated.py` for what is too large to be.

A case is a mapping of

- `intent`: one line on what the pod is for; its name comes from it
- `metadata`, `spec`: of the pod; without containers it gets one, `{name: app, image: app}`
- `from: injected` and `change`: the pod is first injected by the API server, and these RFC 6902 operations are applied
- `answer`: `injected`; `skipped REASON`; `refused REASON…`, the reasons in the order told; or `rejected`, by the API
  server itself and in the same words as without the mesh
- `says`: a part of a refusal's message
- `warns`: a part of each of our warnings, in order; none where it is left out
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jsonpatch
import yaml

from tests.cluster.admission import generated
from tests.cluster.support.kinds import Json

FOLDER: Final = Path(__file__).parent / "pods"
FIELDS: Final = frozenset({"intent", "metadata", "spec", "from", "change", "answer", "says", "warns"})
VERDICTS: Final = ("injected", "skipped", "refused", "rejected")


@dataclass(frozen=True, slots=True)
class Case:
    """One pod and the answer to it."""

    name: str
    intent: str
    manifest: Json
    changes_injected: bool
    change: list[Json]
    verdict: str
    reasons: tuple[str, ...]
    says: str
    warns: tuple[str, ...]

    def changed(self, injected: Json) -> Json:
        """The pod to create, given what the API server made of `manifest`."""
        changed: Json = jsonpatch.apply_patch(as_manifest(injected), self.change)
        return changed


def all_cases() -> list[Case]:
    """Every case; a name or a field that cannot stand is an error at once."""
    cases = [_case(entry) for entry in (*_written(), *generated.entries())]
    names = [case.name for case in cases]
    assert len(names) == len(set(names)), f"two cases of one name: {sorted({n for n in names if names.count(n) > 1})}"
    return cases


def _written() -> Iterator[Json]:
    for file in sorted(FOLDER.glob("*.yaml")):
        yield from yaml.safe_load(file.read_text())


def _case(entry: dict[str, Any]) -> Case:
    assert entry.keys() <= FIELDS, f"{entry['intent']}: unknown fields {sorted(entry.keys() - FIELDS)}"
    verdict, *reasons = entry["answer"].split()
    assert verdict in VERDICTS, f"{entry['intent']}: unknown answer {verdict}"
    name = re.sub(r"[^a-z0-9]+", "-", entry["intent"].lower()).strip("-")[:60].strip("-")
    return Case(
        name=name,
        intent=entry["intent"],
        manifest=_manifest(name, entry.get("metadata") or {}, entry.get("spec") or {}),
        changes_injected=entry.get("from") == "injected",
        change=entry.get("change", []),
        verdict=verdict,
        reasons=tuple(reasons),
        says=entry.get("says", ""),
        warns=tuple(entry.get("warns", ())),
    )


def _manifest(name: str, metadata: Json, spec: Json) -> Json:
    named = {field: value for field, value in {"name": name, **metadata}.items() if value is not None}
    spec = {"containers": [{"name": "app", "image": "app"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": spec}


def as_manifest(observed: Json) -> Json:
    """A pod as read from the API server, fit to be created again: what backups and people with `-o yaml` do."""
    given = observed["metadata"]
    kept = ("generateName" if "generateName" in given else "name", "annotations", "labels")
    metadata = {field: given[field] for field in kept if field in given}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": observed["spec"]}
