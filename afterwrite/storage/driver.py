"""Runs SQLAlchemy statements directly on the database driver, where a request waits for them.

SQLAlchemy compiles a statement once per dialect. Its work at each execution is needed only to convert values, and costs
more than the database itself (measured: 350 of the 610 µs of a durable insert).
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import ClauseElement, Engine, Executable, event
from sqlalchemy.engine import Dialect, ExceptionContext

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Begin = Callable[[Any], int]
Explain = Callable[[Exception], Exception]
SCHEMA = "afterwrite"  # in PostgreSQL
_NOTHING: Values = MappingProxyType({})


class DriverConnection:
    """A connection for writing; for one thread at a time.

    ``begin`` begins a transaction on a cursor and returns its time in microseconds since 1970. ``explain`` maps a
    driver error to the error to raise, or returns it. ``is_alive`` tells without a round trip whether the connection is
    usable. ``check`` runs before each commit and prevents it by raising.
    """

    def __init__(
        self,
        raw: Any,
        dialect: Dialect,
        begin: Begin,
        explain: Explain,
        is_alive: Callable[[], bool],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.dialect, self.is_alive = dialect, is_alive
        self._now_us = 0
        # Whether a round trip costs more than a row: then many rows go into one statement.
        self.is_far = dialect.name != "sqlite"
        self._raw, self._begin, self._explain, self._check = raw, begin, explain, check

    @property
    def now_us(self) -> int:
        """When the transaction began, in microseconds since 1970."""
        return self._now_us

    @property
    def time(self) -> Values:
        """The parameter for ``Now`` in a statement, for databases that need it."""
        return _NOTHING if self.is_far else {"now": self.now_us}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block; roll back if it raises."""
        self._now_us = self.execute(self._begin)
        try:
            yield
            self._check()
            self.execute(lambda _: self._raw.commit())
        except BaseException:
            with suppress(Exception):  # report the original error
                self._raw.rollback()
            raise

    def execute(self, work: Callable[[Any], Any]) -> Any:
        """Call ``work`` with a cursor and return its result. Raises the driver's errors as ``explain`` maps them."""
        with self._explained():
            cursor = self._raw.cursor()
            try:
                return work(cursor)
            finally:
                cursor.close()

    def count(self, cursor: Any) -> int:
        """The number of rows changed by the cursor's statement."""
        changed: int = cursor.rowcount
        return changed

    def close(self) -> None:
        """Close the connection, which rolls back an open transaction."""
        self._raw.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (explained := self._explain(error)) is error:
                raise
            raise explained from error


class Reopened:
    """A connection that opens on demand, and again after it was closed or lost."""

    def __init__(self, connect: Callable[[], DriverConnection]) -> None:
        self._connect = connect
        self._connection: DriverConnection | None = None

    def get(self) -> DriverConnection:
        if self._connection is not None and not self._connection.is_alive():
            self.close()
        self._connection = self._connection or self._connect()
        return self._connection

    def close(self) -> None:
        """Close the connection, if it is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def translate_errors(engine: Engine, explain: Explain) -> None:
    """Let the engine raise the driver's errors as ``explain`` maps them."""

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> None:
        original = context.original_exception
        if isinstance(original, Exception) and (explained := explain(original)) is not original:
            raise explained from original


class Reader:
    """Runs statements for reading; thread-safe.

    In SQLite they run at the driver, on connections of the engine that are kept for the next statement. When one fails,
    the engine runs it again, or raises its error. In PostgreSQL the engine runs them all.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._failure = engine, engine.dialect.loaded_dbapi.Error
        self._at_driver = engine.dialect.name == "sqlite"
        self._free: deque[Any] = deque()  # append and pop are atomic
        event.listen(engine, "engine_disposed", lambda _: self._close())

    def rows(self, statement: "DriverStatement", values: Values = _NOTHING) -> Sequence[Any]:
        """All rows. Raises StoreUnavailable if the database cannot be used."""
        if self._at_driver:
            text, own = statement.text(self._engine.dialect)
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._open()
            try:
                found: list[Row] = connection.execute(text, {**own, **values} if own else values).fetchall()
            except self._failure:
                connection.close()
            else:
                self._free.append(connection)
                return found
        with self._engine.connect() as connected:
            return connected.execute(cast(Executable, statement.of(self._engine.dialect)), values).all()

    def _open(self) -> Any:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        return connection

    def _close(self) -> None:
        while self._free:
            self._free.pop().close()


class DriverStatement:
    """A statement with named values; values and columns are only integers, texts and NULL.

    ``others`` build variants by dialect name when one is first used: a dialect is imported only where it serves. Raises
    StoreUnavailable if the database cannot be used, and the driver's own error for a bad statement or value.
    """

    def __init__(self, statement: ClauseElement, **others: Callable[[], ClauseElement]) -> None:
        self._statement, self._others = statement, others
        self._compiled: dict[str, tuple[str, Values]] = {}

    def rows(self, connection: DriverConnection, values: Values = _NOTHING) -> list[Row]:
        """Run it and return all rows."""
        text, own = self.text(connection.dialect)
        found: list[Row] = connection.execute(lambda cursor: cursor.execute(text, {**own, **values}).fetchall())
        return found

    def run(self, connection: DriverConnection, values: Values = _NOTHING) -> int:
        """Run it and return the number of changed rows."""
        text, own = self.text(connection.dialect)
        changed: int = connection.execute(lambda cursor: connection.count(cursor.execute(text, {**own, **values})))
        return changed

    def send(self, connection: DriverConnection, values: Values = _NOTHING) -> None:
        """Run it without waiting; an error may surface in a later statement or at the commit."""
        text, own = self.text(connection.dialect)
        connection.execute(lambda cursor: cursor.execute(text, {**own, **values}))

    def run_many(self, connection: DriverConnection, many_values: Sequence[Values]) -> int:
        """Run it once per values; return the total number of changed rows."""
        text, own = self.text(connection.dialect)
        given = [{**own, **values} for values in many_values] if own else many_values

        def work(cursor: Any) -> int:
            cursor.executemany(text, given)
            return connection.count(cursor)

        return cast(int, connection.execute(work))

    def of(self, dialect: Dialect) -> ClauseElement:
        """The statement itself."""
        build = self._others.get(dialect.name)
        return self._statement if build is None else build()

    def text(self, dialect: Dialect) -> tuple[str, Values]:
        """Its SQL text and constant values, compiled once."""
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = compiled_for(self.of(dialect), dialect)
        return known


class ManyRows:
    """A statement for many rows: row by row in SQLite, one statement in PostgreSQL to save round trips.

    ``of_all`` has one value, ``rows``: all rows as a JSON text.
    """

    def __init__(self, of_each: ClauseElement, of_all: ClauseElement) -> None:
        self._of_each, self._of_all = DriverStatement(of_each), DriverStatement(of_all)

    def run(self, connection: DriverConnection, rows: Sequence[Values]) -> int:
        """Run it and return the number of changed rows."""
        if not connection.is_far:
            return self._of_each.run_many(connection, rows)
        return self._of_all.run(connection, {"rows": encode_rows(rows)})

    def send(self, connection: DriverConnection, rows: Sequence[Values]) -> None:
        """Run it; see ``DriverStatement.send``."""
        if not connection.is_far:
            self._of_each.run_many(connection, rows)
        else:
            self._of_all.send(connection, {"rows": encode_rows(rows)})


encode_rows = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def compiled_for(statement: ClauseElement, dialect: Dialect) -> tuple[str, Values]:
    """The SQL text of a statement for a driver, and its constant values."""
    is_sqlite = dialect.name == "sqlite"
    by_name = cast(Callable[..., Dialect], type(dialect))(paramstyle="named" if is_sqlite else "pyformat")
    places = None if is_sqlite else {None: SCHEMA}
    compiled = statement.compile(dialect=by_name, schema_translate_map=places, render_schema_translate=bool(places))
    own = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), own
