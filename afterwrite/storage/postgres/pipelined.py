"""Runs transactions in few trips to the server: what nobody waits for goes along with what comes next."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy.engine import Dialect

from afterwrite.storage.driver import DriverConnection, Explain

# A process that stands still in the middle of a transaction loses it, and with it the locks that others wait for. This
# counts only where PostgreSQL knows that nothing more is on its way; ``sharing`` looks for the others by this name.
WRITING = "afterwrite writing"
_NAME = f"set_config('application_name', '{WRITING}', true)"
_IDLE_LIMIT = "set_config('idle_in_transaction_session_timeout', '10s', true)"
# And who waits for longer than that for a lock, as of a table that somebody changes by hand, says so and tries again.
_LOCK_LIMIT = "set_config('lock_timeout', '15s', true)"
# Every statement of a writer finds its rows by an index; a plan that was made while a table was small, or before its
# statistics were, would read all of it. Where a small table is read as a whole all the same, PostgreSQL takes that for
# so dear that it would compile the statement first, for longer by far than it runs.
_OFF = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
# What is set for a transaction that writes: functions to be selected in it.
SETTINGS = ", ".join(
    [_NAME, _IDLE_LIMIT, _LOCK_LIMIT, *(f"set_config('{name}', 'off', true)" for name in _OFF)]
)
# The database's own time, for clocks of machines differ: when the transaction began.
_BEGUN = f"SELECT (extract(epoch FROM now()) * 1000000)::bigint, {SETTINGS}"  # noqa: S608 - constants


class PipelinedConnection(DriverConnection):
    """A connection to PostgreSQL; see ``DriverConnection``.

    A statement whose rows or count are asked for is a trip; others are sent with the next one, the last of them with
    the commit. Their errors come then.
    """

    def __init__(
        self,
        raw: "psycopg.Connection[Any]",
        dialect: Dialect,
        explain: Explain,
        is_alive: Callable[[], bool],
    ) -> None:
        super().__init__(raw, dialect, lambda _: 0, explain, is_alive)
        self._pipeline: psycopg.Pipeline | None = None
        self._begun: psycopg.Cursor[Any] | None = None

    @property
    def now_us(self) -> int:
        """When the transaction began, by the database's clock."""
        if (begun := self._begun) is not None:
            with self._explained():
                [(self._now_us, *_)] = begun.fetchall()
            self._begun = None
        return self._now_us

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or undo it when it raises."""
        try:
            with self._explained(), self._raw.pipeline() as self._pipeline:
                self._raw.cursor().execute("BEGIN")
                self._begun = self._raw.cursor().execute(_BEGUN)
                yield
                self._raw.cursor().execute("COMMIT")
            _ = self.now_us  # it has come, and may be asked for afterwards
        except BaseException:
            with suppress(Exception):  # the error that led here is the one to report
                self._raw.rollback()
            raise
        finally:
            self._pipeline = self._begun = None

    def execute(self, work: Callable[[Any], Any]) -> Any:
        """Give ``work`` a cursor, and return what it returns. Raises what ``explain`` says of the driver's errors."""
        with self._explained():
            return work(self._raw.cursor())  # not closed: its results may come later

    def count(self, cursor: Any) -> int:
        """How many rows the statement changed that was run with this cursor."""
        if self._pipeline is not None:
            self._pipeline.sync()
        return super().count(cursor)
