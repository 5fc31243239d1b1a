"""Runs write transactions with group commit."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from afterwrite.base.group_commit import GroupCommit
from afterwrite.base.store_errors import StoreError, TransactionConflict
from afterwrite.storage.driver import DriverConnection

T = TypeVar("T")
Work = Callable[[DriverConnection], Any]
_MOST_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 0.05


class DatabaseClock:
    """The database's time: that of the last transaction, and what has passed since on a clock that nobody sets."""

    def __init__(self) -> None:
        self._ahead_us: int | None = None

    def learn(self, now_us: int) -> None:
        """Take note of what the database's time is at this moment."""
        self._ahead_us = now_us - time.monotonic_ns() // 1000

    def seconds(self) -> float:
        """Seconds since 1970."""
        return self.now_us() / 1_000_000

    def now_us(self) -> int:
        """Microseconds since 1970; before anything was learned, this machine's."""
        ahead_us = self._ahead_us
        return time.time_ns() // 1000 if ahead_us is None else time.monotonic_ns() // 1000 + ahead_us


class Commits:
    """The one way to write a database: the work of all callers that wait is run in one transaction.

    So many callers share one fsync. A work that raises is undone alone: then the transaction is rolled back and each
    work is run in one of its own. A work may therefore be run twice and must touch nothing but its connection.
    Where a transaction was in the way of another one it is done again; ``conflicts`` counts that.
    """

    def __init__(self, connect: Callable[[], DriverConnection]) -> None:
        """``connect`` gives connections whose transactions are the only writers while they last."""
        self._connect = connect
        self._connection: DriverConnection | None = None
        self._group: GroupCommit[Work, Any] = GroupCommit(self._commit)
        self.conflicts, self.clock = 0, DatabaseClock()

    def run(self, work: Callable[[DriverConnection], T]) -> T:
        """Run ``work`` in a transaction and return what it returns, on disk; raises what it raises."""
        result: T = self._group.run(work)
        return result

    def close(self) -> None:
        """Wait for the transaction under way and close the connection."""
        with self._group.turn:
            self._disconnect()

    def _commit(self, works: Sequence[Work]) -> list[Any]:
        try:
            return self._results(works)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that it belongs to
            self._disconnect()  # after an error its state is not worth knowing
            # A database that cannot be used is so for all of them; anything else concerns one of them.
            if len(works) == 1 or isinstance(error, StoreError):
                return [error] * len(works)
        return [self._commit([work])[0] for work in works]

    def _results(self, works: Sequence[Work]) -> list[Any]:
        attempts_left = _MOST_ATTEMPTS
        while True:
            connection = self._connected()
            try:
                return self._transaction(connection, works)
            except TransactionConflict:
                self.conflicts += 1
                attempts_left -= 1
                if not attempts_left:
                    raise
                time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - it lets the other one pass

    def _transaction(self, connection: DriverConnection, works: Sequence[Work]) -> list[Any]:
        begun = time.monotonic_ns()
        with connection.transaction():
            results = [work(connection) for work in works]
        self.clock.learn(connection.now_us + (time.monotonic_ns() - begun) // 1000)
        return results

    def _connected(self) -> DriverConnection:
        if self._connection is not None and not self._connection.is_alive():
            self._disconnect()
        self._connection = self._connection or self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
