"""The single writer of a database: transactions with group commit, and the database's clock."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Engine

from afterwrite.base.group_commit import GroupCommit
from afterwrite.base.store_errors import StoreError, TransactionConflict
from afterwrite.storage.driver import DriverConnection, Reopened

T = TypeVar("T")
Work = Callable[[DriverConnection], Any]
_MOST_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 0.05


class DatabaseClock:
    """The database's time: the last transaction's, advanced by the monotonic clock."""

    def __init__(self) -> None:
        self._ahead_us: int | None = None

    def learn(self, now_us: int) -> None:
        """Synchronise with the database's current time."""
        self._ahead_us = now_us - time.monotonic_ns() // 1000

    def seconds(self) -> float:
        """Seconds since 1970."""
        return self.now_us() / 1_000_000

    def now_us(self) -> int:
        """Microseconds since 1970; before the first ``learn``, by this machine's clock."""
        ahead_us = self._ahead_us
        return time.time_ns() // 1000 if ahead_us is None else time.monotonic_ns() // 1000 + ahead_us


class Commits:
    """The single writer of a database: the work of all waiting callers runs in one transaction, with one fsync.

    If a work raises, the transaction is rolled back and each work runs in its own. So a work may run twice, and must
    touch nothing but its connection. A transaction that conflicts with another is retried; ``conflicts`` counts that.
    """

    def __init__(self, connect: Callable[[], DriverConnection]) -> None:
        """``connect`` opens a connection whose transactions exclude other writers."""
        self._connection = Reopened(connect)
        self._group: GroupCommit[Work, Any] = GroupCommit(self._commit)
        self.conflicts, self.clock = 0, DatabaseClock()

    def run(self, work: Callable[[DriverConnection], T]) -> T:
        """Run ``work`` in a transaction; return its result once it is on disk, or raise its error."""
        result: T = self._group.run(work)
        return result

    def close(self) -> None:
        """Wait for the transaction under way and close the connection."""
        with self._group.turn:
            self._connection.close()

    def _commit(self, works: Sequence[Work]) -> list[Any]:
        try:
            return self._results(works)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._connection.close()  # its state is undefined after an error
            # An unavailable database concerns all of them; any other error concerns one of them.
            if len(works) == 1 or isinstance(error, StoreError):
                return [error] * len(works)
        return [self._commit([work])[0] for work in works]

    def _results(self, works: Sequence[Work]) -> list[Any]:
        attempts_left = _MOST_ATTEMPTS
        while True:
            connection, begun = self._connection.get(), time.monotonic_ns()
            try:
                with connection.transaction():
                    results = [work(connection) for work in works]
            except TransactionConflict:
                self.conflicts += 1
                attempts_left -= 1
                if not attempts_left:
                    raise
                time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - jitter
            else:
                self.clock.learn(connection.now_us + (time.monotonic_ns() - begun) // 1000)
                return results


@dataclass(frozen=True, slots=True)
class TaskDatabase:
    """The reader and the writer of a task database."""

    reader: Engine
    commits: Commits

    def close(self) -> None:
        """Close both."""
        self.commits.close()
        self.reader.dispose()
