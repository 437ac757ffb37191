"""How hard Hypothesis tries: the same few examples each time, or, with HYPOTHESIS_PROFILE=long, many random ones."""

import os

from hypothesis import HealthCheck, Phase, settings

import injector  # noqa: F401 - before a test imports gRPC, which takes its suites from it

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # explaining traces every line, which takes minutes
    deadline=None,  # two cores, shared with builds: a slow example says nothing
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("ci"), derandomize=False, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
