"""What holds for every pod: the patch does what it should and nothing else, however often and whoever came between."""

import copy
import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from injector.inject.decision import SkipReason
from injector.inject.model import Json
from injector.inject.review import Injected, Skipped
from tests.inject.apiserver import complaints, stored, with_api_token, with_limit_range
from tests.inject.expectation import OUR_CONTAINERS, expected, normal
from tests.inject.objects import SHOP, container, expect, injected, pod, review
from tests.inject.strategies import containers, init_containers, pods

ALREADY = Skipped(SkipReason.ALREADY_INJECTED)


@given(pods())
def test_the_patch_leads_to_the_pod_that_it_should(subject: Json) -> None:
    before = copy.deepcopy(subject)
    patched = injected(subject)
    assert normal(patched) == normal(expected(subject, patched))
    assert subject == before, "the pod that came was changed"


@given(pods())
def test_what_has_no_probe_is_byte_for_byte_as_it_was(subject: Json) -> None:
    patched = injected(subject)
    for group, first in (("containers", 0), ("initContainers", 2)):
        for index, own in enumerate(subject["spec"].get(group) or ()):
            if not any("robe" in field or field == "lifecycle" for field in own):
                assert json.dumps(patched["spec"][group][first + index]) == json.dumps(own)
    for field in subject["spec"].keys() - {"containers", "initContainers", "volumes"}:
        assert json.dumps(patched["spec"][field]) == json.dumps(subject["spec"][field])
    assert json.dumps(patched["metadata"]) == json.dumps(subject["metadata"])


@given(pods())
def test_operations_are_few(subject: Json) -> None:
    operations = expect(Injected, review(subject)).operations
    rewritten = sum(operation["op"] == "replace" for operation in operations)
    assert len(operations) - rewritten <= 4, "two containers and two volumes"
    assert all(operation["op"] in ("add", "replace") for operation in operations)


@given(pods())
def test_the_api_servers_model_accepts_every_pod_with_its_proxy(subject: Json) -> None:
    assert complaints(subject) == [], "the generator made a pod that no API server takes"
    assert complaints(injected(subject)) == []
    assert complaints(stored(with_api_token(injected(stored(subject))))) == []


@given(pods())
def test_an_injected_pod_is_already_injected(subject: Json) -> None:
    patched = injected(subject)
    assert review(patched) == ALREADY
    assert review(patched, opted_in=False) != ALREADY, "a namespace that did not ask is not asked about content"


@given(pods())
def test_an_injected_pod_is_still_that_after_the_api_server_and_its_plugins(subject: Json) -> None:
    assert review(stored(injected(subject))) == ALREADY
    assert review(stored(with_api_token(injected(with_api_token(stored(subject)))))) == ALREADY


@given(pods(), st.sampled_from(({"cpu": "200m", "memory": "128Mi"}, {"cpu": "2"}, {"memory": "300M"})))
def test_default_limits_of_a_namespace_are_filled_in_once(subject: Json, amounts: dict[str, str]) -> None:
    limited = with_limit_range(stored(subject), amounts)
    assume(not complaints(limited))  # a request of the pod's own above the default limit
    admitted = with_limit_range(stored(injected(limited)), amounts)
    assert review(admitted) == ALREADY
    assert complaints(admitted) == []


@given(pods(), st.sampled_from(({"cpu": "200m", "memory": "128Mi"}, {"cpu": "2"})))
def test_a_pod_that_was_injected_from_a_file_settles_under_default_limits(
    subject: Json, amounts: dict[str, str]
) -> None:
    applied = with_limit_range(stored(injected(subject)), amounts)
    reviewed = review(applied)
    if isinstance(reviewed, Injected):
        applied = with_limit_range(stored(injected(applied)), amounts)
        reviewed = review(applied)
    assert reviewed == ALREADY


@given(pods())
def test_defaults_make_no_difference_to_what_is_decided(subject: Json) -> None:
    plain, defaulted = injected(subject), injected(stored(subject))
    ours = [it["spec"]["initContainers"][:2] for it in (stored(plain), stored(defaulted))]
    for before, after in zip(*ours, strict=True):
        before["env"] = [entry for entry in before["env"] if entry["name"] != "INJECTOR_PROBES"]
        after["env"] = [entry for entry in after["env"] if entry["name"] != "INJECTOR_PROBES"]
        assert before == after


@given(pods(), st.data())
def test_our_containers_moved_anywhere_come_back_first(subject: Json, data: st.DataObject) -> None:
    patched = injected(subject)
    spoilt = copy.deepcopy(patched)
    for _ in range(2):
        moving = spoilt["spec"]["initContainers"]
        moving.insert(
            data.draw(st.integers(0, len(moving) - 1)), moving.pop(data.draw(st.integers(0, len(moving) - 1)))
        )
    own = [it for it in spoilt["spec"]["initContainers"] if not it["name"].startswith("injector-")]
    names = [it["name"] for it in spoilt["spec"]["initContainers"]]
    if names[:2] == ["injector-init", "injector-proxy"]:
        assert review(spoilt) == ALREADY
        return
    repaired = injected(spoilt)
    assert repaired["spec"]["initContainers"] == patched["spec"]["initContainers"][:2] + own
    assert review(repaired) == ALREADY


OTHERS_ADD = st.fixed_dictionaries(
    {},
    optional={
        "container": containers("agent"),
        "init": init_containers("setup"),
        "everywhere": st.sampled_from(
            (
                ("env", {"name": "HTTP_PROXY", "value": "http://10.0.0.1"}),
                ("volumeMounts", {"name": "certificates", "mountPath": "/etc/certificates"}),
            )
        ),
    },
)


def with_additions(subject: Json, additions: Json, *, first: bool) -> Json:
    """The pod after another webhook, which may put its containers first."""
    spec = copy.deepcopy(subject)["spec"]
    for group, addition in (("containers", additions.get("container")), ("initContainers", additions.get("init"))):
        if addition:
            present = spec.get(group) or []
            added = copy.deepcopy(addition)
            spec[group] = [added, *present] if first else [*present, added]
    if "everywhere" in additions:
        field, entry = additions["everywhere"]
        for each in (*(spec.get("initContainers") or ()), *spec["containers"]):
            each[field] = [*(each.get(field) or ()), entry]
        spec["volumes"] = [*(spec.get("volumes") or ()), {"name": "certificates", "emptyDir": {}}]
    return {**subject, "spec": spec}


@given(pods(), OTHERS_ADD, st.booleans())
def test_what_another_webhook_added_afterwards_is_in_the_mesh_too(subject: Json, additions: Json, first: bool) -> None:
    afterwards = with_additions(injected(subject), additions, first=first)
    reviewed = review(afterwards)
    settled = injected(afterwards) if isinstance(reviewed, Injected) else afterwards
    assert review(settled) == ALREADY
    before = injected(with_additions(subject, additions, first=first))
    assert settled["spec"]["containers"] == before["spec"]["containers"]
    pairs = zip(settled["spec"]["initContainers"], before["spec"]["initContainers"], strict=True)
    for index, (late, early) in enumerate(pairs):
        if index < len(OUR_CONTAINERS):  # a limit of ours may stay that the pod as it now is would not have given
            for part, amounts in early.pop("resources").items():
                assert amounts.items() <= late["resources"][part].items()
            del late["resources"]
        assert late == early
    assert sorted(map(normal, settled["spec"]["volumes"])) == sorted(map(normal, before["spec"]["volumes"]))


@given(pods(), OTHERS_ADD)
def test_who_loses_an_addition_is_told(subject: Json, additions: Json) -> None:
    reviewed = review(with_additions(injected(subject), additions, first=True))
    warnings = reviewed.warnings
    removed = [warning for warning in warnings if ": removed " in warning]
    assert len(removed) == (2 if "everywhere" in additions else 0)
    if removed:
        what = "'HTTP_PROXY' (env)" if additions["everywhere"][0] == "env" else "'/etc/certificates' (volumeMounts)"
        assert set(removed) == {
            f"container {it['name']}: removed {what}, which the mesh did not add" for it in OUR_CONTAINERS
        }


def test_every_field_of_our_containers_is_written_out_so_that_defaults_change_nothing() -> None:
    ours = injected(pod())["spec"]["initContainers"]
    kept: Any = stored(injected(pod()))["spec"]["initContainers"]
    assert kept == ours


def test_other_kinds_of_answers_carry_what_they_are_about() -> None:
    reviewed = expect(Injected, review(pod(container("a")), SHOP))
    assert reviewed.settings.log_level == "info"
    assert reviewed.warnings == ()
