"""Prometheus counters of consumed messages."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector


class MessageFigures(Collector):
    """Message outcomes of one process since its start; thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._taken = Counter(
            "afterwrite_messages",
            "Messages consumed from RabbitMQ, by queue and outcome",
            ["queue", "outcome"],
            registry=self._registry,
        )

    def count(self, queue: str, outcome: str, messages: int = 1) -> None:
        self._taken.labels(queue, outcome).inc(messages)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the counters describe themselves."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()
