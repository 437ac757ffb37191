"""Taking the mesh out again gives the pod that was there before."""

import copy

from hypothesis import given

from injector.inject.installation import Installation
from injector.inject.model import Json
from injector.inject.uninject import uninject
from tests.inject.apiserver import stored
from tests.inject.objects import INSTALLATION, container, injected, pod
from tests.inject.strategies import pods


def without_empty_lists(subject: Json) -> Json:
    """The pod without the empty or null lists that injection filled."""
    spec = {
        name: value for name, value in subject["spec"].items() if name not in ("initContainers", "volumes") or value
    }
    return {**subject, "spec": spec}


@given(pods())
def test_what_was_injected_is_taken_out_without_a_trace(subject: Json) -> None:
    assert uninject(injected(subject)) == without_empty_lists(subject)


@given(pods())
def test_a_pod_that_the_api_server_kept_in_between_is_as_it_would_have_kept_it(subject: Json) -> None:
    assert stored(uninject(stored(injected(subject)))) == stored(subject)


@given(pods())
def test_a_pod_without_anything_of_ours_stays_as_it_is(subject: Json) -> None:
    assert uninject(subject) == subject


@given(pods())
def test_the_injected_pod_is_not_changed(subject: Json) -> None:
    patched = injected(subject)
    before = copy.deepcopy(patched)
    uninject(patched)
    assert patched == before


def test_counterfeits_are_taken_out_by_their_names() -> None:
    fakes = [container("injector-proxy"), container("wait"), container("injector-init")]
    bare = uninject(pod(initContainers=fakes, volumes=[{"name": "injector-token"}, {"name": "data"}]))
    assert bare == pod(initContainers=[container("wait")], volumes=[{"name": "data"}])


def test_a_container_of_our_name_that_was_never_ours_to_add_stays() -> None:
    subject = pod(container("injector-proxy"))
    assert uninject(subject) == subject


def test_the_pull_secret_stays_for_it_may_have_been_the_pods() -> None:
    installation = Installation(proxy_image=INSTALLATION.proxy_image, image_pull_secret="regcred")
    bare = uninject(injected(pod(), installation=installation))
    assert bare == pod(imagePullSecrets=[{"name": "regcred"}])
