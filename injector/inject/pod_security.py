"""Pod Security admission (pod-security.kubernetes.io): which levels cannot take the init container."""

from collections.abc import Mapping
from typing import Final

ENFORCE_LABEL: Final = "pod-security.kubernetes.io/enforce"

FORBIDDING_LEVELS: Final = ("baseline", "restricted")
"""Both forbid NET_ADMIN, which setting redirection rules needs (Pod Security Standards, Capabilities)."""


def enforced_level(labels: Mapping[str, str]) -> str | None:
    """The level that a namespace's labels enforce and that forbids our init container, or None."""
    level = labels.get(ENFORCE_LABEL)
    return level if level in FORBIDDING_LEVELS else None


def warning(labels: Mapping[str, str], namespace: str) -> str | None:
    """What to tell whoever opts such a namespace in, or None where Pod Security permits the mesh."""
    level = enforced_level(labels)
    if level is None:
        return None
    return (
        f"Pod Security {level!r} is enforced in namespace {namespace} and forbids injector-init's NET_ADMIN: "
        f"meshed pods will be refused there. Set {ENFORCE_LABEL}=privileged"
    )
