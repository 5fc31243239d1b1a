"""Says what can go wrong with the services of the stack, as far as callers act differently."""


class StackError(Exception):
    """A service of the stack did not do what it was asked for."""


class ServiceAway(StackError):
    """A service cannot be reached, or cannot do anything at the moment: trying again later is of use."""

    def __init__(self, service: str, message: str) -> None:
        super().__init__(message)
        self.service = service


class QueueFull(StackError):
    """A queue has as many messages as it may have: trying again later is of use."""


class RunRefused(StackError):
    """Airflow will not run what it was asked to, however often it is asked."""
