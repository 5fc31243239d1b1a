"""Queries of records: by id, pages by offset and keyset, counts, facets."""

import contextlib
import string
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, Subquery, Table, bindparam, func, select, tuple_

from afterwrite.base.store_errors import StoreError
from afterwrite.base.text import folded
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.field import Field
from afterwrite.storage.columns import is_text
from afterwrite.storage.driver import DriverStatement, Reader
from afterwrite.storage.ledger import ledger_totals
from afterwrite.storage.search import Found, search_of
from afterwrite.storage.tables import NULL_VALUES, is_folded, order_key, table_of

_SHORT_SKIP = 1_000
_WALKED = 5_000  # so many rows, in the order of another column, are read in ten milliseconds
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class RecordOrder(NamedTuple):
    """An order of pages, by a field or by id (``field`` is None); ties are ordered by id."""

    name: str
    field: Field | None
    descending: bool

    @property
    def column(self) -> str:
        """The column to order by."""
        return "id" if self.field is None else self.field.column

    def place_of(self, record: Record) -> "Position":
        """The position of a record."""
        return Position(record.id if self.field is None else record[record._fields.index(self.field.column)], record.id)

    def sorted_value(self, value: Any) -> Any:
        """A stored value as this order compares it."""
        if self.field is None:
            return value
        value = NULL_VALUES[self.field.stored] if value is None else value
        return value.encode().lower() if is_folded(self.field) else value


@cache
def orders_of(resource: CompiledResource) -> Mapping[str, RecordOrder]:
    """The orders of a resource by name: ``ID_ASC``, ``ID_DESC``, and those of the fields with ``order``."""
    keys = [("ID", None), *((field.name.upper(), field) for field in resource.fields.values() if field.order)]
    made = [RecordOrder(f"{key}_{word}", field, word == "DESC") for key, field in keys for word in ("ASC", "DESC")]
    return {order.name: order for order in made}


class Condition(NamedTuple):
    """A condition on a stored value: ``equal``, ``in`` (``value`` is a sequence), ``minimum`` or ``maximum``."""

    column: str
    comparison: str
    value: Any

    def lets_through(self, record: Record) -> bool:
        """Whether a record meets it, by the same rules as in the database."""
        found = record[record._fields.index(self.column)]
        match self.comparison:
            case "equal":
                return bool(found == self.value)
            case "in":
                return found in self.value
            case "minimum":
                return found is not None and bool(found >= self.value)
        return found is not None and bool(found <= self.value)

    def clause(self, source: Table | Subquery) -> ColumnElement[bool]:
        """The condition in a statement."""
        column = source.c[self.column]
        found: ColumnElement[bool]
        match self.comparison:
            case "equal":
                found = is_text(column, self.value) if isinstance(self.value, str) else column == self.value
            case "in":
                found = column.in_([value for value in self.value if not (isinstance(value, str) and "\0" in value)])
            case "minimum":
                found = column >= self.value
            case _:
                found = column <= self.value
        return found


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """A filter for records: a search and conditions, all of which must be met."""

    search: str = ""
    conditions: tuple[Condition, ...] = ()

    def lets_through(self, record: Record) -> bool:
        """Whether a record matches, by the same rules as in the database."""
        is_found = not self.search or folded(self.search) in record.search_text
        return is_found and all(condition.lets_through(record) for condition in self.conditions)


class Position(NamedTuple):
    """The position of a record in an order: the stored value of the ordering field and the id."""

    value: Any
    record_id: int


class Records:
    """Reads of one resource over one engine; every method may be called from any thread."""

    def __init__(
        self,
        engine: Engine,
        resource: CompiledResource,
        reader: Reader | None = None,
        turn: contextlib.AbstractContextManager[object] | None = None,
    ) -> None:
        """``reader`` and ``turn`` are those of ``records_of``."""
        self.resource = resource
        self._engine, self._dialect = engine, engine.dialect.name
        self._reader, self._turn = reader or Reader(engine), turn or _turn(engine)
        self._search = search_of(resource)
        self._table = table = table_of(resource)
        self._make = resource.record._make
        self._columns = _of(table, resource)
        self._by_id = DriverStatement(select(*self._columns).where(table.c.id == bindparam("id")))
        self._by_ids = select(*self._columns).where(table.c.id.in_(bindparam("ids", expanding=True)))
        in_order = select(*self._columns).order_by(table.c.id)
        self._page = DriverStatement(in_order.limit(bindparam("first")).offset(bindparam("skip")))

    def get(self, record_id: int) -> Record | None:
        """One record, or None."""
        with self._turn:
            found = self._reader.rows(self._by_id, {"id": record_id})
        return self._make(found[0]) if found else None

    def get_many(self, record_ids: Sequence[int]) -> dict[int, Record]:
        """The existing records among these ids, by id."""
        return {record.id: record for record in self._records(self._by_ids, {"ids": list(set(record_ids))})}

    def page(self, search: str, first: int, skip: int) -> list[Record]:
        """``first`` records by id that match the search, after skipping ``skip``."""
        if not search:
            with self._turn if skip <= _SHORT_SKIP else contextlib.nullcontext():
                found = self._reader.rows(self._page, {"first": first, "skip": skip})
            return list(map(self._make, found))
        return self._keyset(RecordFilter(search), orders_of(self.resource)["ID_ASC"], None, first, skip=skip)

    def after(self, wanted: RecordFilter, order: RecordOrder, position: Position | None, limit: int) -> list[Record]:
        """The ``limit`` records that follow ``position`` (None: the start) in this order."""
        return self._keyset(wanted, order, position, limit)

    def before(self, wanted: RecordFilter, order: RecordOrder, position: Position | None, limit: int) -> list[Record]:
        """The ``limit`` records that precede ``position`` (None: the end), still in this order."""
        return self._keyset(wanted, order, position, limit, backwards=True)[::-1]

    def count(self, wanted: RecordFilter) -> int:
        """The number of records that match the filter."""
        with self._snapshot(wanted) as connection:
            source, values, _ = self._search.counted(wanted.search, connection)
            statement = select(func.count()).select_from(source).where(*_clauses(source, wanted))
            return int(connection.execute(statement, values).scalar_one())

    def facet(self, column: str, limit: int | None = None) -> list[tuple[str, int]]:
        """Every value of a column with its number of records, by value; with ``limit`` only the most frequent."""
        values = self._table.c[column]
        found = select(values, func.count()).where(values.is_not(None)).group_by(values)
        if limit is None:
            return [(value, count) for value, count in self._rows(found.order_by(values))]
        largest = found.order_by(func.count().desc(), values).limit(limit)
        return sorted((value, count) for value, count in self._rows(largest))

    def last_id(self) -> int:
        """The largest id; 0 if there is none."""
        return self._rows(select(func.max(self._table.c.id)))[0][0] or 0

    def _keyset(
        self,
        wanted: RecordFilter,
        order: RecordOrder,
        position: Position | None,
        limit: int,
        *,
        backwards: bool = False,
        skip: int = 0,
    ) -> list[Record]:
        ahead = _Ahead(wanted, order, position, order.descending is not backwards, self._dialect)
        with self._snapshot(wanted) as connection:
            found = self._search.matching(wanted.search, connection, by_id=order.field is None)
            if found.walk is not None:
                rows = self._walked(connection, ahead, found, found.walk, limit, skip)
                if rows is not None:
                    return rows
            statement = ahead.of(found.source, _of(found.source, self.resource)).where(*_clauses(found.source, wanted))
            return self._made(connection.execute(_part(statement, limit, skip), found.values))

    def _walked(
        self, connection: Connection, ahead: "_Ahead", found: Found, matches: ColumnElement[bool], limit: int, skip: int
    ) -> list[Record] | None:
        """The page, if the next records of the table in this order fill it."""
        keys = ahead.keys(self._table)
        edge = connection.execute(ahead.of(self._table, keys).offset(_WALKED).limit(1)).first()
        statement = ahead.of(self._table, self._columns).where(*_clauses(self._table, ahead.wanted), matches)
        if edge is not None:
            statement = statement.where(ahead.is_before(keys, edge))
        rows = self._made(connection.execute(_part(statement, limit, skip), found.values))
        return rows if edge is None or len(rows) == limit else None

    def _made(self, rows: Iterable[Sequence[Any]]) -> list[Record]:
        return [self._make(row) for row in rows]

    @contextlib.contextmanager
    def _snapshot(self, wanted: RecordFilter) -> Iterator[Connection]:
        """A connection on which all statements of a search see one state."""
        with self._engine.connect() as connection:
            if not wanted.search or self._dialect != "sqlite":  # one statement does it all
                yield connection
                return
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def _records(self, statement: Select[Any], values: Mapping[str, Any]) -> list[Record]:
        return [self._make(row) for row in self._rows(statement, values)]

    def _rows(self, statement: Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(statement, values).all()


def records_of(engine: Engine, resources: Mapping[str, CompiledResource]) -> Mapping[str, Records]:
    """The reads of every resource by its name."""
    reader, turn = Reader(engine), _turn(engine)
    return {name: Records(engine, resource, reader, turn) for name, resource in resources.items()}


def database_trouble(engine: Engine) -> str | None:
    """Why records cannot be read now, or None."""
    try:
        with engine.connect() as connection:
            connection.execute(select(ledger_totals)).all()
    except StoreError as error:
        return str(error)
    return None


def _turn(engine: Engine) -> contextlib.AbstractContextManager[object]:
    # SQLite releases the GIL at each row, and many threads lose more time handing it over than reading. So short reads
    # take turns; a long one does not, to avoid blocking them.
    return threading.Lock() if engine.dialect.name == "sqlite" else contextlib.nullcontext()


def _of(source: Table | Subquery, resource: CompiledResource) -> list[ColumnElement[Any]]:
    return [source.c[name] for name in resource.columns]


class _Ahead(NamedTuple):
    """What follows a position in an order."""

    wanted: RecordFilter
    order: RecordOrder
    position: Position | None
    descending: bool
    dialect: str

    def keys(self, source: Table | Subquery) -> list[ColumnElement[Any]]:
        """What records are ordered by."""
        order = self.order
        return [source.c.id] if order.field is None else [order_key(order.field, source, self.dialect), source.c.id]

    def of(self, source: Table | Subquery, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
        """The statement for these columns of what follows."""
        keys = self.keys(source)
        statement = select(*columns).where(*_bounds(self.wanted, self.order, keys[0]))
        statement = statement.order_by(*(key.desc() if self.descending else key for key in keys))
        if self.position is None:
            return statement
        place, there = tuple_(*keys), _place(self.position, self.order, self.dialect)
        return statement.where(place < there if self.descending else place > there)

    def is_before(self, keys: Sequence[ColumnElement[Any]], edge: Sequence[Any]) -> ColumnElement[bool]:
        """Whether a record comes before the one with the keys of ``edge``."""
        place, there = tuple_(*keys), tuple(edge)
        return place > there if self.descending else place < there


def _part(statement: Select[Any], limit: int, skip: int) -> Select[Any]:
    limited = statement.limit(limit)
    return limited.offset(skip) if skip else limited


def _place(position: Position, order: RecordOrder, dialect: str) -> tuple[Any, ...]:
    if order.field is None:
        return (position.record_id,)
    value = NULL_VALUES[order.field.stored] if position.value is None else position.value
    if is_folded(order.field) and dialect != "sqlite":
        value = str(value).translate(_ASCII_LOWER)
    return value, position.record_id


def _clauses(source: Table | Subquery, wanted: RecordFilter) -> list[ColumnElement[bool]]:
    return [condition.clause(source) for condition in wanted.conditions]


def _bounds(wanted: RecordFilter, order: RecordOrder, key: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
    """The range of the ordering field once more, on the key in whose index nulls have a place: a scan begins there."""
    for condition in wanted.conditions:
        if order.field is not None and not order.field.required and condition.column == order.column:
            if condition.comparison == "minimum":
                yield key >= condition.value
            elif condition.comparison == "maximum":
                yield key <= condition.value
