"""A queue that claims one row per transaction, as Procrastinate does, on Afterwrite's task schema."""

import contextlib
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from afterwrite.storage.sqlite.migrations import migrate
from bench.noop_workers import TASK_TYPE
from bench.own_queue import EndedCount

WORKERS = 4
POLL_SECONDS = 5.0
ADD = """
INSERT INTO tasks (id, type, status, progress, payload_json, error_is_final, attempt, max_attempts, priority,
                   run_at_us, ready, cancel_asked, renewals, claim, created_at_us, updated_at_us, search_text)
VALUES (:id, :type, 'PENDING', 0, '{}', 0, 0, 5, 0, :now, 1, 0, 0, 0, :now, :now, :type)
"""
CLAIM = """
UPDATE tasks SET status = 'PROCESSING', ready = 0, claim = claim + 1, attempt = attempt + 1, locked_by = :worker,
                 locked_at_us = :now, started_at_us = coalesce(started_at_us, :now), updated_at_us = :now
WHERE id = (SELECT id FROM tasks WHERE ready = 1 AND type = :type ORDER BY priority DESC, run_at_us, id LIMIT 1)
RETURNING id, claim
"""
RECORD = """
UPDATE tasks SET status = 'COMPLETED', progress = 100, result_json = 'null', locked_by = NULL,
                 locked_at_us = NULL, finished_at_us = :now, updated_at_us = :now
WHERE id = :id AND claim = :claim AND locked_by = :worker
"""


class SingleRowQueue:
    """A new task database and worker threads that each claim a row, run it, and record it, until ``close``."""

    def __init__(self, folder: Path, handler: Callable[[], None]) -> None:
        self._path, self._handler = folder / "tasks.db", handler
        self._ids = itertools.count(1)
        self._ended = EndedCount()
        self._added = threading.Semaphore(0)
        # Serialize writers here: SQLite's own wait for its lock sleeps, which is slower.
        self._turn = threading.Lock()
        self._stopping = False
        self._connection = self._connect()
        self._connection.execute("PRAGMA journal_mode = WAL")
        migrate(self._connection, "tasks")
        self._threads = [threading.Thread(target=self._work, args=(f"w{at}",)) for at in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    def create(self) -> None:
        """Create a task; it is on disk when this returns."""
        given = {"id": next(self._ids), "type": TASK_TYPE, "now": _now()}
        with self._transaction(self._connection):
            self._connection.execute(ADD, given)
        self._added.release()

    def wait_ended(self, count: int) -> None:
        """Wait until ``count`` tasks of this queue are COMPLETED."""
        self._ended.wait(count)

    def close(self) -> None:
        """Stop the workers and close the database."""
        self._stopping = True
        for _ in self._threads:
            self._added.release()
        for thread in self._threads:
            thread.join()
        self._connection.close()

    def _work(self, worker: str) -> None:
        with contextlib.closing(self._connect()) as connection:
            while not self._stopping:
                self._added.acquire(timeout=POLL_SECONDS)
                claimed = self._claim(connection, worker)
                if claimed is not None:
                    self._handler()
                    self._record(connection, worker, *claimed)

    def _claim(self, connection: sqlite3.Connection, worker: str) -> tuple[int, int] | None:
        with self._transaction(connection):
            given = {"type": TASK_TYPE, "worker": worker, "now": _now()}
            rows: list[tuple[int, int]] = connection.execute(CLAIM, given).fetchall()
        return rows[0] if rows else None

    def _record(self, connection: sqlite3.Connection, worker: str, task_id: int, claim: int) -> None:
        with self._transaction(connection):
            given = {"id": task_id, "claim": claim, "worker": worker, "now": _now()}
            recorded = connection.execute(RECORD, given).rowcount
        self._ended.add(recorded)

    @contextlib.contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        with self._turn:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _now() -> int:
    return time.time_ns() // 1000
