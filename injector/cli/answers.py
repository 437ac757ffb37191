"""PURE. What an answer of the core has to say besides its verdict."""

from injector.inject.review import Review, Skipped


def further_warnings(review: Review) -> tuple[str, ...]:
    """The warnings that do not repeat the verdict: for a skip, the webhook's first warning is its reason."""
    if isinstance(review, Skipped):
        return tuple(warning for warning in review.warnings if review.reason.sentence not in warning)
    return review.warnings
