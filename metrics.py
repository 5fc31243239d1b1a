"""Counts what happens, for Prometheus."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from async_db import QueueState, QueueStatus
from writes import Write

_DELAY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one server process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "afterwrite_http_requests",
            "HTTP requests by route and status",
            ["route", "status"],
            registry=self._registry,
        )
        self._delay = Histogram(
            "afterwrite_accept_to_settled_seconds",
            "Time from the acceptance of a write to its settlement",
            buckets=_DELAY_BUCKETS,
            registry=self._registry,
        )

    def watch(self, status: Callable[[], QueueStatus]) -> None:
        """Read the queue's own figures whenever they are asked for."""
        self._registry.register(_QueueFigures(status))

    def count_request(self, route: str, status: int) -> None:
        """Count an answered request."""
        self._requests.labels(route, status).inc()

    def count_settled(self, writes: Sequence[Write]) -> None:
        """Count how long settled writes had waited."""
        for write in writes:
            if write.settled_at_us is not None:
                self._delay.observe((write.settled_at_us - write.accepted_at_us) / 1e6)

    def exposition(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self._registry)


class _QueueFigures:
    def __init__(self, status: Callable[[], QueueStatus]) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the queue."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        status = self._status()
        yield GaugeMetricFamily("afterwrite_queue_depth", "Writes that wait", status.depth)
        yield GaugeMetricFamily("afterwrite_queue_bytes", "Bytes that wait", status.size_bytes)
        yield GaugeMetricFamily(
            "afterwrite_queue_oldest_seconds",
            "Age of the oldest write that waits",
            status.oldest_age_ms / 1000,
        )
        settled = CounterMetricFamily("afterwrite_writes", "Settled writes", labels=["status"])
        settled.add_metric(["APPLIED"], status.applied_total)
        settled.add_metric(["FAILED"], status.failed_total)
        yield settled
        state = GaugeMetricFamily(
            "afterwrite_queue_state", "1 for the state the queue is in", labels=["state"]
        )
        for name in QueueState:
            state.add_metric([name], float(name is status.state))
        yield state
