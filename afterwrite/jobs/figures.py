"""Counts the messages that a service took, for Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector


class MessageFigures(Collector):
    """What became of the messages of one process since its start; may be used from any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._taken = Counter(
            "afterwrite_messages",
            "Messages taken from RabbitMQ, by their queue and what became of them",
            ["queue", "outcome"],
            registry=self._registry,
        )

    def count(self, queue: str, outcome: str, messages: int = 1) -> None:
        """Count messages that were dealt with."""
        self._taken.labels(queue, outcome).inc(messages)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are those of the counters."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        return self._registry.collect()
