"""Settings come from environment variables; one that is missing is named before anything starts."""

from __future__ import annotations

import os
import sys


def required(name: str) -> str:
    """The value of an environment variable, or an exit that says which one is missing."""
    value = os.environ.get(name)
    if not value:
        sys.exit(f"the environment variable {name} is not set; see examples/shop/kubernetes for its meaning")
    return value


def number(name: str, default: float) -> float:
    """A number from an environment variable, or an exit that says what was expected."""
    text = os.environ.get(name, "")
    try:
        return float(text) if text else default
    except ValueError:
        sys.exit(f"the environment variable {name} should be a number, and is {text!r}")
