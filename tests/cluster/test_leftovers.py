"""What a killed run leaves does not meet the next one."""

import os

import pytest

from tests.cluster.support.api import Api
from tests.cluster.support.errors import ApiError
from tests.cluster.support.leftovers import LABEL, alive, owner, sweep
from tests.cluster.support.sandbox import Sandbox


def test_a_run_knows_itself_and_no_stranger_with_its_pid() -> None:
    assert alive(owner())
    assert not alive(f"{os.getpid()}-1")
    assert not alive("tests")


def test_what_a_dead_run_left_goes_and_what_is_ours_stays(api: Api, plain: Sandbox) -> None:
    left = f"{plain.name}-left"
    metadata = {"name": left, "labels": {LABEL: f"{os.getpid()}-1"}}
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    sweep(api)

    with pytest.raises(ApiError) as refused:
        api.get("Namespace", left)
    assert refused.value.status == 404
    assert "deletionTimestamp" not in api.get("Namespace", plain.name)["metadata"]
