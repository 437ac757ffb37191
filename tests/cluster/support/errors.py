"""What the API server says when it does not do what was asked."""


class ApiError(Exception):
    """A refusal. `status` is HTTP's, `reason` Kubernetes' word ("Forbidden"), `warnings` what came beside it."""

    def __init__(self, status: int, reason: str, message: str, warnings: tuple[str, ...] = ()) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.warnings = warnings
