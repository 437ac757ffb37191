"""Why a part refuses to start."""

from __future__ import annotations


class StartupError(Exception):
    """Everything that is wrong with how a part was started, one sentence a fault, all at once."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
