"""Measures how fast worker processes drain a backlog of no-op tasks, against Procrastinate and Celery on RabbitMQ."""

import time
from pathlib import Path

from bench.many.backlog import OpenBacklog
from bench.many.celery_tasks import celery_backlog
from bench.many.counters import Counters
from bench.many.own_tasks import own_backlog
from bench.many.processes import running
from bench.many.procrastinate_tasks import procrastinate_backlog
from bench.plan import Plan
from bench.table import Row, median, whole

TIMES_PROCRASTINATE, TIMES_CELERY = 5.0, 1.0
WORKERS = (1, 2, 4)
SYSTEMS: dict[str, OpenBacklog] = {
    "Afterwrite": own_backlog,
    "Procrastinate": procrastinate_backlog,
    "Celery": celery_backlog,
}
TASKS_FOR_A_SECOND = {"Afterwrite": 8_000, "Procrastinate": 600, "Celery": 3_000}
SHARE_BEFORE = 0.1  # warm-up: connections are open and pools are full afterwards
BEGIN_SECONDS, END_SECONDS = 60.0, 300.0

Rates = dict[tuple[str, int], list[float]]


def backlog_rates(plan: Plan) -> list[Row]:
    """Drain a backlog that is on disk with 1, 2 and 4 worker processes; the systems take turns.

    A rate is measured from the point where a tenth of the tasks has run until all have, and are recorded as ended if
    the system keeps a record. Afterwrite and Procrastinate use a new database each time and 32 concurrent tasks per
    process; Celery uses a new durable queue.
    """
    rates: Rates = {}
    for number in range(plan.rounds):
        for workers in WORKERS:
            plan.say(f"no-op tasks, workers: {workers}, round {number + 1} of {plan.rounds}: {', '.join(SYSTEMS)}")
            for name, opened in SYSTEMS.items():
                count = max(1_000, int(plan.seconds * TASKS_FOR_A_SECOND[name]))
                rate = _rate(plan.new_folder(), opened, workers, count)
                rates.setdefault((name, workers), []).append(rate)
    return [row for workers in WORKERS for row in _rows(rates, workers)]


def _rate(folder: Path, opened: OpenBacklog, workers: int, count: int) -> float:
    counters = Counters(folder)
    with opened() as backlog:
        backlog.fill(count)
        commands, settings = backlog.commands(workers), {**backlog.settings, **counters.environment}
        with running(folder, commands, settings) as processes:
            processes.wait_until(lambda: counters.at_gate() >= len(commands), "workers", BEGIN_SECONDS)
            counters.open_gate()
            few = int(count * SHARE_BEFORE)
            processes.wait_until(lambda: counters.total() >= few, f"{few} tasks", BEGIN_SECONDS)
            before, begin = counters.total(), time.perf_counter()
            processes.wait_until(
                lambda: counters.total() >= count and backlog.recorded() >= count, f"{count} tasks", END_SECONDS
            )
            rate = (count - before) / (time.perf_counter() - begin)
    return rate


def _rows(rates: Rates, workers: int) -> list[Row]:
    ours, procrastinate, celery = (median(rates[name, workers]) for name in SYSTEMS)
    processes = "1 worker process" if workers == 1 else f"{workers} worker processes"
    return [
        _row(f"no-op tasks per second, {processes}", ours, procrastinate, "Procrastinate", TIMES_PROCRASTINATE),
        _row(f"  beside Celery on RabbitMQ, its pool of {workers}", ours, celery, "Celery", TIMES_CELERY),
    ]


def _row(measured: str, ours: float, theirs: float, name: str, least: float) -> Row:
    ratio = ours / theirs
    return Row(measured, whole(ours), f"{whole(theirs)} {name}", f"{ratio:.2f} x", f">= {least:g} x", ratio >= least)
