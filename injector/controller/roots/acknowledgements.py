"""Who is behind: from the running pods and what the proxies have said of themselves to names and reasons (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from injector.controller.roots.record import Laggard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NO_STREAM = "has no stream to any discovery replica"
OLD_ROOTS = "does not accept the new root yet"
OLD_CERTIFICATE = "has a certificate of another issuer"


@dataclass(frozen=True, slots=True)
class Trusts:
    """What somebody has said of itself: the roots that it accepts and the issuer of its certificate, by fingerprint."""

    roots: frozenset[str]
    issuer: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard: of proxies by the namespace that their certificates name and the uid that they say their pod has,
    for nobody may speak for a pod of another namespace; of the control plane's parts by `namespace/name`, or why one
    said nothing. A part of the control plane is asked whether or not any pod is meshed."""

    proxies: Mapping[tuple[str, str], Trusts] = field(default_factory=dict)
    parts: Mapping[str, Trusts | str] = field(default_factory=dict)


def without_root(running: Mapping[str, str], heard: Heard, root: str) -> list[Laggard]:
    """Of `running` (uid to `namespace/name`) and the parts, those who have not said that they accept the root."""
    return _behind(running, heard, lambda said: root in said.roots, OLD_ROOTS)


def without_certificate(running: Mapping[str, str], heard: Heard, issuer: str) -> list[Laggard]:
    """Those who have not said that their certificate is of the issuer."""
    return _behind(running, heard, lambda said: said.issuer == issuer, OLD_CERTIFICATE)


def _behind(running: Mapping[str, str], heard: Heard, arrived: Callable[[Trusts], bool], reason: str) -> list[Laggard]:
    said: dict[str, Trusts | str] = dict(heard.parts)
    for uid, name in running.items():
        said[name] = heard.proxies.get((name.partition("/")[0], uid), NO_STREAM)
    # Those who are connected and late come first: they say something about the rotation.
    late = [
        Laggard(name, reason) for name, trusts in said.items() if isinstance(trusts, Trusts) and not arrived(trusts)
    ]
    silent = [Laggard(name, why) for name, why in said.items() if isinstance(why, str)]
    return [*sorted(late, key=_name), *sorted(silent, key=_name)]


def _name(laggard: Laggard) -> str:
    return laggard.pod
