"""How a command ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell is told. The same table stands in `injector --help`."""

    OK = 0
    FAILED = 1
    """The input cannot be read, a pod would be refused, or `check` found something."""
    USAGE = 2
    """The command was called wrongly; nothing was done."""
    CLUSTER = 3
    """The cluster could not be reached, or did not allow it."""
    SETTINGS = 64
    """`webhook` and `controller`: settings with which no server can start (EX_USAGE of sysexits.h)."""


class CommandError(Exception):
    """Ends the command with a code, after every fault was printed on a line of its own."""

    def __init__(self, *faults: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        self.code = code
