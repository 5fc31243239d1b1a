"""The errors of RabbitMQ, Redis and Airflow that callers handle differently."""


class StackError(Exception):
    """A service of the stack failed a request."""


class ServiceAway(StackError):
    """A service is unavailable; retry later."""

    def __init__(self, service: str, message: str) -> None:
        super().__init__(message)
        self.service = service


class QueueFull(StackError):
    """A queue is full; retry later."""


class RunRefused(StackError):
    """Airflow permanently refuses a run; do not retry."""
