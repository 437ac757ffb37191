"""The installation's settings as a file: read once at the start, every fault at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from injector.inject.installation import Installation, InstallationError
from injector.runtime.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path


def read_installation(path: Path) -> Installation:
    """The settings in a YAML file; raises `StartupError` saying what is wrong and where."""
    try:
        return Installation.parse(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise StartupError(f"cannot read the installation's settings: {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StartupError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    except InstallationError as error:
        raise StartupError(*(f"{path}: {fault}" for fault in error.faults)) from error
