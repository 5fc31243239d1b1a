"""The errors of RabbitMQ, Redis and Airflow that callers handle differently."""


class ServiceAway(Exception):
    """A service is unavailable; retry later."""

    def __init__(self, service: str, message: str) -> None:
        super().__init__(message)
        self.service = service


class QueueFull(Exception):
    """A queue is full; retry later."""


class RunRefused(Exception):
    """Airflow permanently refuses a run; do not retry."""
