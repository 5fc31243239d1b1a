"""Measures the start latency of tasks with an idle worker in another process."""

import os
import random
import socket
import time
from collections.abc import Sequence

from afterwrite.base.settings import Settings
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.task import NewTask
from afterwrite.tasks.worker import BaseWorker
from bench.many.databases import new_database
from bench.many.own_tasks import task_runtime, worker_command, worker_settings
from bench.many.processes import running
from bench.noop_workers import TASK_TYPE, NoopWorker
from bench.plan import Plan
from bench.table import Row, median, ms, percentile
from bench.task_starts import LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, SEED, WAIT_SECONDS

MOST_P50_MS, MOST_P99_MS = 5, 25
TASKS_FOR_A_SECOND, WARM_TASKS = 100, 20
PORT_VARIABLE = "BENCH_STARTS_PORT"


def start_delays(plan: Plan) -> list[Row]:
    """Create tasks one after the other, each after the start of the previous one and a short random pause.

    The latency includes the creating call with its commit. The worker process sends the time when its handler started,
    by the same machine's clock.
    """
    count = int(plan.seconds * TASKS_FOR_A_SECOND)
    delays = []
    for number in range(plan.rounds):
        plan.say(f"creation to start, {count} tasks, round {number + 1} of {plan.rounds}")
        delays.append(_round(plan, count, random.Random(SEED + number)))
    return _rows(delays)


def _round(plan: Plan, count: int, chance: random.Random) -> list[float]:
    with (
        new_database() as url,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as starts,
        task_runtime(url) as runtime,
    ):
        starts.bind(("127.0.0.1", 0))
        starts.settimeout(WAIT_SECONDS)
        settings = {**worker_settings(url, __name__), PORT_VARIABLE: str(starts.getsockname()[1])}
        with running(plan.new_folder(), [worker_command()], settings):
            delays = [_delay_ms(runtime.queue, starts, chance) for _ in range(WARM_TASKS + count)]
    return delays[WARM_TASKS:]


def _delay_ms(queue: TaskQueue, starts: socket.socket, chance: random.Random) -> float:
    time.sleep(chance.uniform(LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
    before = time.time()
    queue.create(NewTask(TASK_TYPE, {}))
    return (float(starts.recv(100)) - before) * 1_000


def build_workers(_settings: Settings) -> Sequence[BaseWorker]:
    """The entry point of WORKER_MODULES."""
    port = int(os.environ[PORT_VARIABLE])
    to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    to.connect(("127.0.0.1", port))

    def tell() -> None:
        to.send(repr(time.time()).encode())

    return [NoopWorker(tell)]


def _rows(delays: list[list[float]]) -> list[Row]:
    """The medians over the rounds."""
    p50, p99 = (median(percentile(some, percent) for some in delays) for percent in (50, 99))
    title = "creation to start, its commit included, an idle worker process, p50"
    return [
        Row(title, ms(p50), goal=f"< {MOST_P50_MS} ms", reached=p50 < MOST_P50_MS),
        Row("  its p99", ms(p99), goal=f"< {MOST_P99_MS} ms", reached=p99 < MOST_P99_MS),
    ]
