"""Measures the start latency of tasks with idle workers: from before the creation to the start of the handler."""

import contextlib
import queue
import random
import time
from collections.abc import Callable
from pathlib import Path

from bench.huey_queue import HueyQueue
from bench.own_queue import OwnQueue
from bench.plan import Plan
from bench.single_row_queue import SingleRowQueue
from bench.table import Row, median, ms, percentile
from bench.task_rates import NoopQueue

MOST_P50_MS = 5
TASKS_FOR_A_SECOND, WARM_TASKS = 10, 5
LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.015
WAIT_SECONDS = 60
SEED = 20251124


def creation_to_start(plan: Plan) -> list[Row]:
    """Create tasks one after the other, each after the start of the previous one and a short random pause.

    The latency includes the creating call with its commit. Huey's consumer polls, by default every 0.1 s with backoff
    while idle.
    """
    count = int(plan.seconds * TASKS_FOR_A_SECOND)
    delays: dict[str, list[list[float]]] = {}
    for number in range(plan.rounds):
        plan.say(f"creation to start, {count} tasks, round {number + 1} of {plan.rounds}")
        for name, measure in (("ours", _ours), ("single-row", _single_row), ("Huey", _huey)):
            delays.setdefault(name, []).append(measure(plan.new_folder(), count, random.Random(SEED + number)))
    return _rows(delays)


def _ours(folder: Path, count: int, chance: random.Random) -> list[float]:
    starts: queue.SimpleQueue[float] = queue.SimpleQueue()
    tasks = OwnQueue(folder, lambda: starts.put(time.time()))
    return _delays_ms(tasks, lambda: starts.get(timeout=WAIT_SECONDS), count, chance)


def _single_row(folder: Path, count: int, chance: random.Random) -> list[float]:
    starts: queue.SimpleQueue[float] = queue.SimpleQueue()
    tasks = SingleRowQueue(folder, lambda: starts.put(time.time()))
    return _delays_ms(tasks, lambda: starts.get(timeout=WAIT_SECONDS), count, chance)


def _huey(folder: Path, count: int, chance: random.Random) -> list[float]:
    tasks = HueyQueue(folder, "starts")
    return _delays_ms(tasks, lambda: float(tasks.next_line()), count, chance)


def _delays_ms(tasks: NoopQueue, next_start: Callable[[], float], count: int, chance: random.Random) -> list[float]:
    delays = []
    with contextlib.closing(tasks):
        for _ in range(WARM_TASKS + count):
            before = time.time()
            tasks.create()
            delays.append((next_start() - before) * 1_000)
            time.sleep(chance.uniform(LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
    return delays[WARM_TASKS:]


def _rows(delays: dict[str, list[list[float]]]) -> list[Row]:
    """The medians over the rounds."""

    def at(percent: float, name: str) -> float:
        return median(percentile(some, percent) for some in delays[name])

    p50 = at(50, "ours")
    return [
        Row(
            "creation to start, its commit included, workers idle, p50",
            ms(p50),
            f"{ms(at(50, 'single-row'))} single-row, {ms(at(50, 'Huey'))} Huey (polls)",
            goal=f"< {MOST_P50_MS} ms",
            reached=p50 < MOST_P50_MS,
        ),
        Row("  its p99", ms(at(99, "ours")), f"{ms(at(99, 'single-row'))} single-row, {ms(at(99, 'Huey'))} Huey"),
    ]
