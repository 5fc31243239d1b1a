"""Runs SQLAlchemy's statements on a connection of the database's own driver: for what is written very often.

SQLAlchemy says a statement, once for every database. What it does anew at each execution is of no use where
no value has to be converted, and costs more than the database itself (measured: 350 of the 610 µs of a durable insert).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import ClauseElement
from sqlalchemy.engine import Dialect

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Begin = Callable[[Any], int]
Explain = Callable[[Exception], Exception]
SCHEMA = "afterwrite"  # of the tables, where a database has schemas
_NOTHING: Values = MappingProxyType({})


class DriverConnection:
    """A connection that writes; for one thread at a time.

    ``begin`` begins a transaction on a cursor and gives its time, in microseconds since 1970; ``explain`` says what an
    error of the driver means: the error to raise in its place, or itself. ``is_alive``: whether it can still be used,
    as far as is known without asking. ``check`` is called before each commit, which does not happen when it raises.
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
        # Whether a trip to the database costs more than a row: then many rows go in one statement, not one by one.
        self.is_far = dialect.name != "sqlite"
        self._raw, self._begin, self._explain, self._check = raw, begin, explain, check

    @property
    def now_us(self) -> int:
        """When the transaction began, in microseconds since 1970."""
        return self._now_us

    @property
    def time(self) -> Values:
        """The value of statements that say ``Now``, where it is given."""
        return _NOTHING if self.is_far else {"now": self.now_us}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or undo it when it raises."""
        self._now_us = self.execute(self._begin)
        try:
            yield
            self._check()
            self.execute(lambda _: self._raw.commit())
        except BaseException:
            with suppress(Exception):  # the error that led here is the one to report
                self._raw.rollback()
            raise

    def execute(self, work: Callable[[Any], Any]) -> Any:
        """Give ``work`` a cursor, and return what it returns. Raises what ``explain`` says of the driver's errors."""
        with self._explained():
            cursor = self._raw.cursor()
            try:
                return work(cursor)
            finally:
                cursor.close()

    def count(self, cursor: Any) -> int:
        """How many rows the statement changed that was run with this cursor."""
        changed: int = cursor.rowcount
        return changed

    def close(self) -> None:
        """Close it; what is under way is undone."""
        self._raw.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (explained := self._explain(error)) is error:
                raise
            raise explained from error


class DriverStatement:
    """A statement whose values and columns are whole numbers, texts and NULL; values go by name.

    ``others`` are statements that do the same in the database of that name, where this one does not. Raises
    StoreUnavailable where the database cannot be used, and the driver's own error where the statement or a value is
    wrong.
    """

    def __init__(self, statement: ClauseElement, **others: ClauseElement) -> None:
        self._statement, self._others = statement, others
        self._compiled: dict[str, tuple[str, Values]] = {}

    def rows(self, connection: DriverConnection, values: Values = _NOTHING) -> list[Row]:
        """Run it, and return every row that it gives."""
        text, own = self._text(connection.dialect)
        found: list[Row] = connection.execute(
            lambda cursor: cursor.execute(text, {**own, **values}).fetchall()
        )
        return found

    def run(self, connection: DriverConnection, values: Values = _NOTHING) -> int:
        """Run it, and return how many rows it changed."""
        text, own = self._text(connection.dialect)
        changed: int = connection.execute(
            lambda cursor: connection.count(cursor.execute(text, {**own, **values}))
        )
        return changed

    def send(self, connection: DriverConnection, values: Values = _NOTHING) -> None:
        """Run it; an error may come with a later statement of the transaction, or with its end."""
        text, own = self._text(connection.dialect)
        connection.execute(lambda cursor: cursor.execute(text, {**own, **values}))

    def run_many(self, connection: DriverConnection, many_values: Sequence[Values]) -> int:
        """Run it with each of the values, and return how many rows it changed in all."""
        text, own = self._text(connection.dialect)
        given = [{**own, **values} for values in many_values] if own else many_values

        def work(cursor: Any) -> int:
            cursor.executemany(text, given)
            return connection.count(cursor)

        return cast(int, connection.execute(work))

    def _text(self, dialect: Dialect) -> tuple[str, Values]:
        known = self._compiled.get(dialect.name)
        if known is None:
            statement = self._others.get(dialect.name, self._statement)
            known = self._compiled[dialect.name] = compiled_for(statement, dialect)
        return known


class ManyRows:
    """A statement about many rows: run for a row after the other in SQLite, once for all of them in PostgreSQL.

    There a trip to the server costs more than a row. ``of_all`` has one value, ``rows``: all of them as a JSON text.
    """

    def __init__(self, of_each: ClauseElement, of_all: ClauseElement) -> None:
        self._of_each, self._of_all = DriverStatement(of_each), DriverStatement(of_all)

    def run(self, connection: DriverConnection, rows: Sequence[Values]) -> int:
        """Run it, and return how many rows it changed."""
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
    """The text of a statement for a driver, and the values that it has of its own."""
    is_sqlite = dialect.name == "sqlite"
    by_name = cast(Callable[..., Dialect], type(dialect))(paramstyle="named" if is_sqlite else "pyformat")
    places = None if is_sqlite else {None: SCHEMA}
    compiled = statement.compile(
        dialect=by_name, schema_translate_map=places, render_schema_translate=bool(places)
    )
    own = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), own
