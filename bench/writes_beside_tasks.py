"""Measures product writes over HTTP while a thousand tasks a second run in the same server."""

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.settings import Settings
from afterwrite.tasks.task import NewTask
from bench import servers
from bench.load import Load, Result, apply_load
from bench.noop_workers import TASK_TYPE, NoopWorker
from bench.own_queue import open_runtime
from bench.plan import Plan
from bench.table import Row, median, whole

TASKS_PER_SECOND = 1_000
LEAST_SHARE, LEAST_RATE_SHARE = 0.7, 0.95
# The first task is due when the server is up, the last one after the load, even if its process starts slowly.
AHEAD_SECONDS, BEYOND_SECONDS = 3.0, 3.0
RUN_IN_SECONDS = 0.5
CREATED_AT_ONCE = 1_000
WORKER_MODULES = "bench.noop_workers"


def product_writes_beside_tasks(plan: Plan) -> list[Row]:
    """Load one server without tasks and one with 1,000 no-op tasks a second, in turns.

    The tasks are in the database before the server starts, due a millisecond apart, so that creating them costs
    nothing. Ended tasks are counted there, from the first write to the last.
    """
    quiet, busy, task_rates = [], [], []
    for number in range(plan.rounds):
        plan.say(
            f"createProduct, quiet and with {TASKS_PER_SECOND:,} tasks a second, round {number + 1} of {plan.rounds}"
        )
        quiet.append(_quiet(plan).per_second)
        writes, tasks_per_second = _busy(plan)
        busy.append(writes.per_second)
        task_rates.append(tasks_per_second)
    return _rows(median(quiet), median(busy), median(task_rates))


def _quiet(plan: Plan) -> Result:
    folder = plan.new_folder()
    with servers.afterwrite(folder, WORKER_MODULES=WORKER_MODULES) as server:
        result = apply_load(Load(server.port, "createProduct", plan.seconds))
    shutil.rmtree(folder)
    return result


def _busy(plan: Plan) -> tuple[Result, float]:
    folder = plan.new_folder()
    first_us = _schedule_tasks(folder, plan.seconds)
    with servers.afterwrite(folder, WORKER_MODULES=WORKER_MODULES) as server:
        time.sleep(max(0.0, first_us / 1e6 + RUN_IN_SECONDS - time.time()))
        result = apply_load(Load(server.port, "createProduct", plan.seconds))
    tasks_per_second = _tasks_per_second(folder)
    shutil.rmtree(folder)
    return result, tasks_per_second


def _schedule_tasks(folder: Path, load_seconds: float) -> int:
    """Insert the tasks into a new data folder; return when the first is due (microseconds)."""
    count = int((RUN_IN_SECONDS + load_seconds + BEYOND_SECONDS) * TASKS_PER_SECOND)
    step_us = 1_000_000 // TASKS_PER_SECOND
    with closing(open_runtime(folder, [NoopWorker()], BackgroundLoop())) as runtime:
        first_us = int((time.time() + AHEAD_SECONDS) * 1_000_000)
        due = [first_us + step_us * number for number in range(count)]
        for start in range(0, count, CREATED_AT_ONCE):
            some = due[start : start + CREATED_AT_ONCE]
            runtime.queue.create_many([NewTask(TASK_TYPE, {}, run_at_us=run_at) for run_at in some])
    return first_us


def _tasks_per_second(folder: Path) -> float:
    """The rate of ended tasks while writes were accepted; RuntimeError if tasks were not due all the time."""
    settings = Settings(data_dir=folder)
    with closing(sqlite3.connect(settings.products_path)) as products:
        span = products.execute("SELECT min(accepted_at_us), max(accepted_at_us) FROM ledger").fetchone()
    with closing(sqlite3.connect(settings.tasks_path)) as tasks:
        due = tasks.execute("SELECT min(run_at_us), max(run_at_us) FROM tasks").fetchone()
        ended = "SELECT count(*) FROM tasks WHERE status = 'COMPLETED' AND finished_at_us BETWEEN ? AND ?"
        count: int = tasks.execute(ended, span).fetchone()[0]
    if not due[0] <= span[0] <= span[1] <= due[1]:
        raise RuntimeError(f"tasks were due from {due[0]} to {due[1]}, writes came from {span[0]} to {span[1]}")
    return count * 1_000_000 / int(span[1] - span[0])


def _rows(quiet: float, busy: float, tasks_per_second: float) -> list[Row]:
    rate_share = tasks_per_second / TASKS_PER_SECOND
    return [
        Row(
            f"createProduct per second beside {whole(tasks_per_second)} tasks a second",
            whole(busy),
            f"{whole(quiet)} quiet",
            f"{busy / quiet:.0%}",
            f">= {LEAST_SHARE:.0%}",
            busy / quiet >= LEAST_SHARE,
        ),
        Row(
            "  tasks per second recorded meanwhile",
            whole(tasks_per_second),
            f"{whole(TASKS_PER_SECOND)} due",
            f"{rate_share:.0%}",
            f">= {LEAST_RATE_SHARE:.0%}",
            rate_share >= LEAST_RATE_SHARE,
        ),
    ]
