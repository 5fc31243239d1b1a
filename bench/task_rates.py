"""Measures no-op tasks per second against Huey's SQLite queue and single-row claiming."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

from bench.huey_queue import HueyQueue
from bench.noop_workers import nothing
from bench.own_queue import OwnQueue
from bench.plan import Plan
from bench.single_row_queue import SingleRowQueue
from bench.table import Row, median, times, whole

LEAST_PER_SECOND, AS_FAST_AS_HUEY = 2_500, 1.0
TASKS_FOR_A_SECOND = 1_500
WARM_TASKS = 200
CREATORS = 8

Rates = dict[tuple[str, int], list[float]]


class NoopQueue(Protocol):
    """A queue of no-op tasks with running workers; `create` is thread-safe."""

    def create(self) -> None:
        """Create a task; it is on disk when this returns."""

    def wait_ended(self, count: int) -> None:
        """Wait until ``count`` tasks have ended since the queue was opened."""

    def close(self) -> None:
        """Stop the workers."""


def no_op_tasks(plan: Plan) -> list[Row]:
    """Create tasks one by one and wait until the last one is recorded; the queues take turns, each from empty.

    First one thread creates, then eight. Afterwrite and the single-row queue run tasks in the creating process; Huey's
    consumer is a separate process and so has a second core. All commit with synchronous FULL (Huey by SQLite's
    default): a task is on disk when it is accepted. Huey does not record completion.
    """
    count = max(WARM_TASKS, int(plan.seconds * TASKS_FOR_A_SECOND)) // CREATORS * CREATORS
    rates: Rates = {}
    for number in range(plan.rounds):
        plan.say(f"no-op tasks, {count:,} a figure, round {number + 1} of {plan.rounds}: Afterwrite, Huey, single-row")
        for name, opened in _queues(plan, count).items():
            with contextlib.closing(opened()) as queue:
                _measure(queue, name, count, rates)
    return _rows(rates)


def _queues(plan: Plan, count: int) -> dict[str, Callable[[], NoopQueue]]:
    milestones = [str(WARM_TASKS + count * step) for step in range(3)]
    return {
        "ours": lambda: OwnQueue(plan.new_folder(), nothing),
        "Huey": lambda: HueyQueue(plan.new_folder(), *milestones),
        "single-row": lambda: SingleRowQueue(plan.new_folder(), nothing),
    }


def _measure(queue: NoopQueue, name: str, count: int, rates: Rates) -> None:
    _create(queue, WARM_TASKS)
    queue.wait_ended(WARM_TASKS)
    for step, creators in enumerate((1, CREATORS)):
        threads = [threading.Thread(target=_create, args=(queue, count // creators)) for _ in range(creators)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        queue.wait_ended(WARM_TASKS + count * (step + 1))
        rates.setdefault((name, creators), []).append(count / (time.perf_counter() - begin))


def _create(queue: NoopQueue, count: int) -> None:
    for _ in range(count):
        queue.create()


def _rows(rates: Rates) -> list[Row]:
    middle = {key: median(values) for key, values in rates.items()}
    ours = middle["ours", CREATORS]
    return [
        Row(
            f"no-op tasks per second, first creation to last record, created by {CREATORS} threads",
            whole(ours),
            f"{whole(middle['single-row', CREATORS])} single-row claims",
            times(ours / middle["single-row", CREATORS]),
            f">= {whole(LEAST_PER_SECOND)}",
            ours >= LEAST_PER_SECOND,
        ),
        _beside_huey("  beside Huey, its consumer on a core of its own", middle, CREATORS),
        _beside_huey("  created by one thread", middle, 1),
    ]


def _beside_huey(measured: str, middle: dict[tuple[str, int], float], creators: int) -> Row:
    ours, huey, single = (middle[name, creators] for name in ("ours", "Huey", "single-row"))
    beside = f"{whole(huey)} Huey" + (f", {whole(single)} single-row" if creators == 1 else "")
    return Row(
        measured,
        whole(ours),
        beside,
        f"{ours / huey:.2f} x",
        f">= {AS_FAST_AS_HUEY:g} x",
        ours / huey >= AS_FAST_AS_HUEY,
    )
