"""Write transactions in pipeline mode, with few round trips to PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy.engine import Dialect

from afterwrite.storage.driver import DriverConnection, Explain

# A process that stalls in a transaction loses it, and its locks with it. The timeout covers only sessions that
# PostgreSQL sees as idle; ``sharing`` finds those stalled in a pipeline by this name.
WRITING = "afterwrite writing"
_NAME = f"set_config('application_name', '{WRITING}', true)"
_IDLE_LIMIT = "set_config('idle_in_transaction_session_timeout', '10s', true)"
# Longer than the idle limit: then a wait for a lock, such as one of a manual table change, fails and is retried.
_LOCK_LIMIT = "set_config('lock_timeout', '15s', true)"
# Every write statement finds its rows by an index; a plan made while the table was small or had no statistics would
# scan it. jit: with the scan penalty PostgreSQL would compile even a scan of a small table, far longer than it runs.
_OFF = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
# To be selected in a write transaction.
SETTINGS = ", ".join([_NAME, _IDLE_LIMIT, _LOCK_LIMIT, *(f"set_config('{name}', 'off', true)" for name in _OFF)])
# The transaction's start by the database's clock, because the clocks of machines differ.
_BEGUN = f"SELECT (extract(epoch FROM now()) * 1000000)::bigint, {SETTINGS}"  # noqa: S608 - constants


class PipelinedConnection(DriverConnection):
    """A connection in pipeline mode; see ``DriverConnection``.

    Only a statement whose rows or count are read costs a round trip; others are sent along with the next one or the
    commit, and their errors surface then.
    """

    def __init__(
        self, raw: "psycopg.Connection[Any]", dialect: Dialect, explain: Explain, is_alive: Callable[[], bool]
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
        """Commit at the end of the block; roll back if it raises."""
        try:
            with self._explained(), self._raw.pipeline() as self._pipeline:
                self._raw.cursor().execute("BEGIN")
                self._begun = self._raw.cursor().execute(_BEGUN)
                yield
                self._raw.cursor().execute("COMMIT")
            _ = self.now_us  # fetch it: it may be read after the transaction
        except BaseException:
            with suppress(Exception):  # report the original error
                self._raw.rollback()
            raise
        finally:
            self._pipeline = self._begun = None

    def execute(self, work: Callable[[Any], Any]) -> Any:
        """Call ``work`` with a cursor and return its result. Raises the driver's errors as ``explain`` maps them."""
        with self._explained():
            return work(self._raw.cursor())  # not closed: its results may arrive later

    def count(self, cursor: Any) -> int:
        """The number of rows changed by the cursor's statement."""
        if self._pipeline is not None:
            self._pipeline.sync()
        return super().count(cursor)
