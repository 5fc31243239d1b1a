"""Runs SQLAlchemy's statements on a connection of the database's own driver: for what is written very often.

SQLAlchemy says a statement, once for every database. What it does anew at each execution is of no use where
no value has to be converted, and costs more than the database itself (measured: 350 of the 610 µs of a durable insert).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import ClauseElement
from sqlalchemy.engine import Dialect

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Explain = Callable[[Exception], Exception]
_NOTHING: Values = MappingProxyType({})


class DriverConnection:
    """A connection that writes; for one thread at a time.

    ``begin`` is the statement that begins a transaction; ``explain`` says what an error of the driver means: the error
    to raise in its place, or itself.
    """

    def __init__(self, raw: Any, dialect: Dialect, begin: str, explain: Explain) -> None:
        self.dialect = dialect
        self._raw, self._begin, self._explain = raw, begin, explain

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or undo it when it raises."""
        self.execute(lambda cursor: cursor.execute(self._begin))
        try:
            yield
            self.execute(lambda _: self._raw.commit())
        except BaseException:
            with suppress(Exception):  # the error that led here is the one to report
                self._raw.rollback()
            raise

    def execute(self, work: Callable[[Any], Any]) -> Any:
        """Give ``work`` a cursor, and return what it returns. Raises what ``explain`` says of the driver's errors."""
        try:
            cursor = self._raw.cursor()
            try:
                return work(cursor)
            finally:
                cursor.close()
        except Exception as error:
            if (explained := self._explain(error)) is error:
                raise
            raise explained from error

    def close(self) -> None:
        """Close it; what is under way is undone."""
        self._raw.close()


class DriverStatement:
    """A statement whose values and columns are whole numbers, texts and NULL; values go by name.

    Raises StoreUnavailable where the database cannot be used, and the driver's own error where the statement or a value
    is wrong.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
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
        changed: int = connection.execute(lambda cursor: cursor.execute(text, {**own, **values}).rowcount)
        return changed

    def run_many(self, connection: DriverConnection, many_values: Sequence[Values]) -> int:
        """Run it with each of the values, and return how many rows it changed in all."""
        text, own = self._text(connection.dialect)
        given = [{**own, **values} for values in many_values] if own else many_values

        def work(cursor: Any) -> int:
            cursor.executemany(text, given)
            changed: int = cursor.rowcount
            return changed

        return cast(int, connection.execute(work))

    def _text(self, dialect: Dialect) -> tuple[str, Values]:
        known = self._compiled.get(dialect.name)
        if known is None:
            by_name = cast(Callable[..., Dialect], type(dialect))(paramstyle="named")
            compiled = self._statement.compile(dialect=by_name)
            own = {name: value for name, value in compiled.params.items() if value is not None}
            known = self._compiled[dialect.name] = (str(compiled), own)
        return known
