"""Afterwrite's tasks in PostgreSQL, shared by worker processes that load this module with WORKER_MODULES."""

import contextlib
import sys
from collections.abc import Iterator, Sequence

import psycopg

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits, WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.storage.stores import open_stores
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.tasks.task import NewTask
from afterwrite.tasks.worker import BaseWorker
from bench.many.backlog import ADDED_AT_ONCE
from bench.many.counters import counter, wait_at_gate
from bench.many.databases import connect, count, new_database, settle
from bench.noop_workers import TASK_TYPE, NoopWorker


class OwnBacklog:
    """Afterwrite tasks in a new database."""

    def __init__(self, url: str, connection: "psycopg.Connection[object]") -> None:
        self._url, self._connection = url, connection
        self.settings = worker_settings(url, "bench.many.own_tasks")

    def fill(self, count: int) -> None:
        """Create tasks, a thousand per commit."""
        with task_runtime(self._url) as runtime:
            for start in range(0, count, ADDED_AT_ONCE):
                some = min(ADDED_AT_ONCE, count - start)
                runtime.queue.create_many([NewTask(TASK_TYPE, {})] * some)
        settle(self._url)

    def commands(self, workers: int) -> Sequence[Sequence[str]]:
        """One process per worker, with 32 concurrent tasks on its event loop."""
        return [worker_command()] * workers

    def recorded(self) -> int:
        """The number of COMPLETED tasks."""
        return count(self._connection, "SELECT count(*) FROM afterwrite.tasks WHERE status = 'COMPLETED'")


@contextlib.contextmanager
def own_backlog() -> Iterator[OwnBacklog]:
    """An Afterwrite backlog; its database is dropped at the end of the block."""
    with new_database() as url, connect(url) as connection:
        yield OwnBacklog(url, connection)


@contextlib.contextmanager
def task_runtime(url: str, workers: Sequence[BaseWorker] = (NoopWorker(),)) -> Iterator[TaskRuntime]:
    """The tasks of a database, with its schema, to create or claim; no worker runs in this process.

    ``workers`` define the task types.
    """
    settings = Settings(database_url=url, webhook_allow_private="on")  # callbacks go to this machine
    stores = open_stores(settings, WriteLimits.of(settings), None)
    try:
        yield TaskRuntime(stores.tasks, workers, BackgroundLoop(), TaskLimits.of(settings))
    finally:
        stores.close()


def worker_command() -> Sequence[str]:
    """The command line of a worker process for no-op tasks alone."""
    return [sys.executable, "-m", "afterwrite", "worker", "--types", TASK_TYPE]


def worker_settings(url: str, module: str) -> dict[str, str]:
    """The settings of a worker process that loads its worker from a module."""
    return {"DATABASE_URL": url, "WORKER_MODULES": module, "LOG_LEVEL": "warning", "LOG_FILE": "off"}


def build_workers(_settings: Settings) -> Sequence[BaseWorker]:
    """The entry point of WORKER_MODULES, called after all imports and before the first claim."""
    wait_at_gate()
    return [NoopWorker(counter())]
