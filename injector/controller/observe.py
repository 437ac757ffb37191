"""From the objects as read to the `State` that is planned on (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from injector.controller import rotation
from injector.controller.objects import join
from injector.controller.rotation import State
from injector.pki import read_bundle, signed_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from injector.controller.objects import Authorities, Configuration, ServingPair
    from injector.pki import Certificate


def observe(
    authorities: Authorities | None,
    serving: ServingPair | None,
    configuration: Configuration | None,
    trusted_since: Mapping[str, datetime],
    namespace_uid: str,
    now: datetime,
) -> State:
    """What the three objects, any of which may be missing, say together."""
    current = authorities.current.certificate if authorities and authorities.current else None
    following = authorities.next.certificate if authorities and authorities.next else None
    leaf = serving.pair.certificate if serving and serving.pair else None
    bundles = [bundle for _, bundle in configuration.bundles] if configuration else []
    brought = serving.issuers if serving and leaf else ()
    observed = [certificate for bundle in bundles for certificate in read_bundle(bundle)]
    unpublished = State(
        current=current,
        next=following,
        previous=authorities.previous if authorities else (),
        leaf=leaf,
        leaf_issuer=_issuer(leaf, [*_present(current, following), *brought, *observed]),
        installed=bool(bundles),
        observed=(*brought, *observed),
        trusted_since=trusted_since,
    )
    wanted = join(rotation.bundle(unpublished, now))
    owned = configuration is not None and namespace_uid in configuration.owners
    return replace(unpublished, published=owned and all(bundle == wanted for bundle in bundles))


def trusted(configuration: Configuration | None, since: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Since when each CA is in every caBundle: what was known goes on, what is new starts now, what is gone is gone."""
    if configuration is None or not configuration.bundles:
        return {}
    everywhere = set.intersection(*({known.id for known in read_bundle(text)} for _, text in configuration.bundles))
    return {identity: since.get(identity, now) for identity in everywhere}


def _issuer(leaf: Certificate | None, candidates: Iterable[Certificate]) -> str | None:
    if leaf is None:
        return None
    return next((candidate.id for candidate in candidates if signed_by(leaf, candidate)), None)


def _present(*certificates: Certificate | None) -> list[Certificate]:
    return [certificate for certificate in certificates if certificate is not None]
