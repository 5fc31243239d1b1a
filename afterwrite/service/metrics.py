"""Prometheus metrics of a process."""

import threading
import time
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from afterwrite.resources.write import Write
from afterwrite.tasks.manager import ManagerStatus
from afterwrite.tasks.task import Task
from afterwrite.writes.queue import QueueState, QueueStatus

_DELAY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    def __init__(self, process: str = "") -> None:
        """``process`` labels every metric where several processes run."""
        self._registry = CollectorRegistry()
        self.registry: Collector = _Labelled(self._registry, process) if process else self._registry
        self._requests = Counter(
            "afterwrite_http_requests",
            "HTTP requests by route and status",
            ["route", "status"],
            registry=self._registry,
        )
        self._request_counters: dict[tuple[str, int], Counter] = {}
        self._delays = _Delays()
        self._registry.register(self._delays)
        self._settled = Counter(
            "afterwrite_settled_writes",
            "Writes settled by this process",
            ["resource", "operation", "status"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "afterwrite_task_duration_seconds",
            "Time from the first start of a task to its end",
            ["type"],
            buckets=_DELAY_BUCKETS,
            registry=self._registry,
        )

    def watch(
        self,
        queue: Callable[[], QueueStatus] | None,
        tasks: Callable[[], ManagerStatus],
        conflicts: Callable[[], int] = lambda: 0,
    ) -> None:
        """Read the metrics of the queue and the workers at every scrape.

        ``conflicts`` is the number of retried transactions. A process without a queue has no queue metrics.
        """
        if queue is not None:
            self.watch_more(_Figures(lambda: _figures_of_queue(queue())))
        self.watch_more(_Figures(lambda: _figures_of_tasks(tasks(), conflicts())))

    def watch_more(self, figures: Collector) -> None:
        """Read these metrics too at every scrape."""
        self._registry.register(figures)

    def count_request(self, route: str, status: int) -> None:
        counter = self._request_counters.get((route, status))
        if counter is None:
            counter = self._request_counters[route, status] = self._requests.labels(route, status)
        counter.inc()

    def count_settled(self, writes: Sequence[Write]) -> None:
        """Count settled writes, and observe how long they had waited."""
        kinds = Counts((write.resource, write.operation, write.status) for write in writes)
        for kind, count in kinds.items():
            self._settled.labels(*kind).inc(count)
        self._delays.observe(
            [write.settled_at_us - write.accepted_at_us for write in writes if write.settled_at_us is not None]
        )

    def count_tasks(self, tasks: Sequence[Task]) -> None:
        """Observe how long ended tasks took."""
        for task in tasks:
            if task.finished_at_us is not None and task.started_at_us is not None:
                self._duration.labels(task.type).observe((task.finished_at_us - task.started_at_us) / 1e6)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def _figures_of_queue(status: QueueStatus) -> Iterable[Metric]:
    yield GaugeMetricFamily("afterwrite_queue_depth", "Waiting writes", status.depth)
    yield GaugeMetricFamily("afterwrite_queue_bytes", "Bytes of waiting writes", status.size_bytes)
    yield GaugeMetricFamily(
        "afterwrite_queue_oldest_seconds", "Age of the oldest waiting write", status.oldest_age_ms / 1000
    )
    settled = CounterMetricFamily("afterwrite_writes", "Settled writes", labels=["status"])
    settled.add_metric(["APPLIED"], status.applied_total)
    settled.add_metric(["FAILED"], status.failed_total)
    yield settled
    state = GaugeMetricFamily("afterwrite_queue_state", "1 for the state the queue is in", labels=["state"])
    for name in QueueState:
        state.add_metric([name], float(name is status.state))
    yield state


def _figures_of_tasks(status: ManagerStatus, conflicts: int) -> Iterable[Metric]:
    running = GaugeMetricFamily("afterwrite_tasks_running", "Running tasks", labels=["type"])
    for task_type, count in status.running.items():
        running.add_metric([task_type], count)
    yield running
    ended = CounterMetricFamily("afterwrite_tasks_ended", "Ended tasks", labels=["type", "status"])
    for (task_type, name), count in status.ended.items():
        ended.add_metric([task_type, name], count)
    yield ended
    yield CounterMetricFamily("afterwrite_task_retries", "Failed attempts that are retried", status.retried)
    yield CounterMetricFamily("afterwrite_task_locks_lost", "Outcomes dropped because their lock was lost", status.lost)
    yield CounterMetricFamily("afterwrite_transaction_retries", "Transactions retried after a conflict", conflicts)


class _Delays(Collector):
    """The histogram of the delays of writes; prometheus_client's own takes five times as long for each."""

    _name = "afterwrite_accept_to_settled_seconds"

    def __init__(self) -> None:
        self._created = time.time()
        self._bounds_us = [bound * 1e6 for bound in _DELAY_BUCKETS]
        self._counts, self._sum_us = [0] * (len(_DELAY_BUCKETS) + 1), 0
        self._turn = threading.Lock()

    def observe(self, delays_us: Sequence[int]) -> None:
        with self._turn:
            self._sum_us += sum(delays_us)
            for place, count in Counts([bisect_left(self._bounds_us, delay) for delay in delays_us]).items():
                self._counts[place] += count

    def describe(self) -> Iterable[Metric]:
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        with self._turn:
            counts, sum_us = list(accumulate(self._counts)), self._sum_us
        bounds = [*(str(float(bound)) for bound in _DELAY_BUCKETS), "+Inf"]
        described = "Time from the acceptance of a write to its settlement"
        buckets = list(zip(bounds, map(float, counts), strict=True))
        family = HistogramMetricFamily(self._name, described, buckets=buckets, sum_value=sum_us / 1e6)
        family.add_sample(f"{self._name}_created", {}, self._created)
        yield family


class _Figures(Collector):
    """Metrics that are read at every scrape."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read them."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._collect()


class _Labelled(Collector):
    """The metrics of a registry with the label ``process`` added."""

    def __init__(self, registry: CollectorRegistry, process: str) -> None:
        self._registry, self._process = registry, process

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, "process": self._process}) for sample in metric.samples
            ]
            yield metric
