"""Procrastinate on the same PostgreSQL: `python -m bench.many.procrastinate_tasks URL` runs one worker."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task

from bench.many.backlog import ADDED_AT_ONCE
from bench.many.counters import counter, wait_at_gate
from bench.many.databases import connect, count, new_database, settle
from bench.noop_workers import SIDE_BY_SIDE, nothing

CONNECTIONS = 8  # per process; the default of 4 was a little slower, 32 much slower


class ProcrastinateBacklog:
    """Procrastinate tasks in a new database."""

    settings: Mapping[str, str] = {}

    def __init__(self, url: str, connection: "psycopg.Connection[object]") -> None:
        self._url, self._connection = url, connection
        self._app, self._noop = open_procrastinate(url)

    def fill(self, count: int) -> None:
        """Add tasks with batch_defer."""
        with self._app.open():
            self._app.schema_manager.apply_schema()
            for start in range(0, count, ADDED_AT_ONCE):
                self._noop.batch_defer(*[{}] * min(ADDED_AT_ONCE, count - start))
        settle(self._url)

    def commands(self, workers: int) -> Sequence[Sequence[str]]:
        """One process per worker, with 32 concurrent tasks on its event loop."""
        return [[sys.executable, "-m", "bench.many.procrastinate_tasks", self._url]] * workers

    def recorded(self) -> int:
        """The number of tasks that succeeded."""
        return count(self._connection, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")


@contextlib.contextmanager
def procrastinate_backlog() -> Iterator[ProcrastinateBacklog]:
    """A Procrastinate backlog; its database is dropped at the end of the block."""
    with new_database() as url, connect(url) as connection:
        yield ProcrastinateBacklog(url, connection)


def open_procrastinate(url: str, handler: Callable[[], None] = nothing) -> tuple[App, "Task[..., Any, ...]"]:
    """Return the application with Procrastinate's asyncio connector, and its task, which calls the handler."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=CONNECTIONS, max_size=CONNECTIONS))

    @app.task(name="noop")
    async def noop() -> None:
        handler()

    return app, noop


def main(arguments: Sequence[str]) -> None:
    """Run tasks until SIGTERM, as `procrastinate worker --concurrency 32` does: with notifications, rows kept."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    app, _ = open_procrastinate(arguments[0], counter())
    wait_at_gate()
    app.run_worker(concurrency=SIDE_BY_SIDE)


if __name__ == "__main__":
    main(sys.argv[1:])
