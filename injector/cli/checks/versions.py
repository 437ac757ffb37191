"""PURE. Which version of the proxy runs in which pods, and how those of another one are replaced."""

from collections import defaultdict
from collections.abc import Iterator

from injector.cli.checks.facts import Facts
from injector.cli.checks.lines import Line, Section, count, good, some, worth_knowing
from injector.cli.workloads import lives
from injector.inject.model import Json
from injector.inject.presence import proxy_container


def sections(facts: Facts) -> Iterator[Section]:
    """Meshed pods by the image of their proxy: first those that are as a pod made now would be."""
    pods = facts.pods if isinstance(facts.pods, list) else []
    by_image: dict[str, list[Json]] = defaultdict(list)
    for pod in pods:
        proxy = proxy_container(pod)
        if proxy is not None and lives(pod):
            by_image[str(proxy.get("image"))].append(pod)
    wanted = facts.installation.proxy_image
    lines = tuple(
        _line(image, by_image[image], wanted) for image in sorted(by_image, key=lambda one: (one != wanted, one))
    )
    yield Section("Proxies by version", lines or (worth_knowing("no pod has a proxy"),))


def _line(image: str, pods: list[Json], wanted: str) -> Line:
    names = sorted(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods)
    text = f"{count(len(pods), 'pod')} with {image}"
    if image == wanted:
        return good(text, *some(names))
    namespaces = sorted({pod["metadata"]["namespace"] for pod in pods})
    return worth_knowing(
        f"{text}; pods made now get {wanted}",
        *(f"injector enable {name} --restart" for name in some(namespaces)),
        details=some(names),
    )
