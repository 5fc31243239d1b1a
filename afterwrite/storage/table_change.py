"""The change of one table to its declaration: finds what may not be done, and does the rest.

The columns are compared by Alembic, which is imported only where a declaration changed.
"""

import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.exc import SAWarning
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateColumn

from afterwrite.base.counts import counted
from afterwrite.base.own_command import own_command
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field
from afterwrite.resources.number_fields import Money
from afterwrite.resources.reference_field import Reference
from afterwrite.storage.tables import dangling, declaration_of, index_statement, indexes_of, table_of


class TableDatabase(Protocol):
    """What a change of tables needs of a database, in the transaction that is open."""

    dialect: str

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with ``?`` for each value; return its rows."""

    def raw(self) -> Any:
        """The driver's connection."""

    def named(self, table: str) -> str:
        """The table in a statement."""

    def has_table(self, table: str) -> bool:
        """Whether there is such a table."""

    def index_names(self, table: str) -> set[str]:
        """The indexes of a table that are no part of a constraint."""

    def make_beside(self, resource: CompiledResource) -> None:
        """Create what a new table needs beside itself."""

    def search_changed(self, resource: CompiledResource, was_searched: bool) -> None:
        """Other fields are searched now: let the searched texts be recomputed in the background."""

    def reshape(
        self, resource: CompiledResource, optional: Sequence[str], required: Sequence[str], looser: bool
    ) -> None:
        """Let columns be null, or null no more; ``looser``: drop conditions on values, which limits replaced."""

    def drop(self, table: str) -> None:
        """Drop an empty table and what stands beside it."""


class TableChange:
    """The change of a table; see the module."""

    def __init__(
        self,
        database: TableDatabase,
        resource: CompiledResource,
        recorded: Mapping[str, Any] | None,
        allowed: Collection[str],
        resources: Mapping[str, CompiledResource],
    ) -> None:
        """``recorded`` is the declaration that the table follows, None: it is not known.

        ``resources`` are those that it may refer to, ``allowed`` columns, as ``table.column``, whose values may go.
        """
        self._database, self._resource, self._allowed = database, resource, allowed
        self._resources = resources
        self._recorded = recorded or {"fields": {}, "searched": [], "indexes": {}}
        self._table = database.named(resource.table)
        self._added: list[str] = []
        self._removed: list[str] = []
        self._optional: list[str] = []
        self._required: list[str] = []
        self._retyped: list[str] = []
        self._compare()

    @property
    def columns(self) -> set[str]:
        """Every column that ``allowed`` can name."""
        return {self._key(name) for name in (*self._resource.of_column, *self._removed)}

    def refusals(self) -> list[str]:
        """A line for each change that may not be done; nothing is changed."""
        return [
            *self._missing_values(),
            *self._lost_columns(),
            *(self._other_form(name) for name in self._retyped),
            *self._broken_limits(),
            *self._shared_values(),
        ]

    def apply(self) -> None:
        """Change the table, after ``refusals`` found nothing."""
        self._drop_indexes()
        for name in self._removed:
            self._database.execute(f'ALTER TABLE {self._table} DROP COLUMN "{name}"')
        for name in self._added:
            self._add(name)
        for name in self._required:
            default = self._resource.defaults.get(name)
            if default is not None:
                self._database.execute(f'UPDATE {self._table} SET "{name}" = ? WHERE "{name}" IS NULL', default)  # noqa: S608
        before = self._recorded["fields"]
        known = {name: field for name, field in self._resource.of_column.items() if name in before}
        looser = any(dict(field.limits) != before[name]["limits"] for name, field in known.items())
        if self._optional or self._required or looser:
            self._database.reshape(self._resource, self._optional, self._required, looser=looser)
        present = self._database.index_names(self._resource.table)
        for index in indexes_of(self._resource, self._database.dialect):
            if index.name not in present:
                self._database.execute(index_statement(self._resource, index, self._database.dialect))
        if list(self._recorded["searched"]) != list(self._resource.searched):
            self._database.search_changed(self._resource, bool(self._recorded["searched"]))

    # -- the comparison ---------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Find the columns that are new, gone, optional now, required now, and of another type."""
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        metadata, name = MetaData(), self._resource.table
        table_of(self._resource).to_metadata(metadata)

        def concerns(_item: Any, item_name: str | None, kind: str, _reflected: bool, _to: Any) -> bool:
            # SQLite reports its primary key as one that may be null.
            return item_name == name if kind == "table" else kind == "column" and item_name != "id"

        with engine_connection(self._database) as connection:
            options = {
                "include_object": concerns,
                "include_name": lambda item, kind, _parents: kind != "table" or item == name,
                "compare_type": True,
            }
            with warnings.catch_warnings():  # of indexes over expressions, which are compared by name
                warnings.simplefilter("ignore", SAWarning)
                found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        for one in found:
            for difference in one if isinstance(one, list) else [one]:
                match difference:
                    case ("add_column", _, _, column):
                        self._added.append(column.name)
                    case ("remove_column", _, _, column):
                        self._removed.append(column.name)
                    case ("modify_nullable", _, _, column, _, _, nullable):
                        (self._optional if nullable else self._required).append(column)
                    case ("modify_type", _, _, column, _, _, _):
                        self._retyped.append(column)

    # -- what may not be done ---------------------------------------------------------------------------------

    def _missing_values(self) -> Iterator[str]:
        for name in (*self._added, *self._required):
            field, is_new = self._resource.of_column[name], name in self._added
            if not field.required or name in self._resource.defaults:
                continue
            if rows := self._count("1 = 1" if is_new else f'"{name}" IS NULL'):
                what = f"{self._place(field)} is {'new and ' if is_new else ''}required, and has no value in "
                yield f"{what}{self._counted(rows)}: give it a default, or leave required=True out"

    def _lost_columns(self) -> Iterator[str]:
        for name in self._removed:
            if not self._is_allowed(name) and (rows := self._count(f'"{name}" IS NOT NULL')):
                what = f"{self._resource.name} does not declare {name}, which has a value in {self._counted(rows)}"
                yield self._lossy(name, what)

    def _other_form(self, name: str) -> str:
        field = self._resource.of_column[name]
        return (
            f"{self._place(field)} is {type(field).__name__} now, which is stored in another form than before: "
            "declare a field of another name, and copy what you need"
        )

    def _broken_limits(self) -> Iterator[str]:
        for name, field in self._resource.of_column.items():
            before = self._recorded["fields"].get(name)
            if before is None or name in (*self._added, *self._retyped):
                continue
            if isinstance(field, Reference):  # never to no record, whatever may be lost
                if dict(field.limits) != before["limits"] and (rows := self._count_dangling(field)):
                    what = f"{self._place(field)} refers to {field.target} now, and {self._counted(rows)} to none"
                    yield f"{what}: correct these first, or declare a field of another name"
                continue
            if self._is_allowed(name):
                continue
            if isinstance(field, Money) and before["limits"].get("decimals") != field.decimals:
                what = f"{self._place(field)} has {field.decimals} decimals now, which changes every amount"
                yield self._lossy(name, what)
                continue
            is_stricter = before["type"] != type(field).__name__ or (field.required and not before["required"])
            if (is_stricter or not field.allows_all_of(before["limits"])) and (rows := self._count_broken(field)):
                yield self._lossy(
                    name, f"{self._place(field)} has other limits now: {self._counted(rows)} would break them"
                )

    def _shared_values(self) -> Iterator[str]:
        present = self._database.index_names(self._resource.table)
        for index in indexes_of(self._resource, self._database.dialect):
            if not index.unique or index.field is None or index.name in present:
                continue
            name = index.field.column
            if name in self._added:
                rows = self._count("1 = 1") if name in self._resource.defaults else 0
                if rows > 1:
                    yield f"{self._place(index.field)} is unique: {rows} records would have its default, leave it out"
            elif twice := self._twice(name):
                yield (
                    f"{self._place(index.field)} is unique now, and {counted(len(twice), 'value')} such as "
                    f"{twice[0]!r:.80} are in more than one record: change these first"
                )

    def _count_dangling(self, field: Reference) -> int:
        target = next((one.table for one in self._resources.values() if one.name == field.target), "")
        if not self._database.has_table(target):
            return self._count(f'"{field.column}" IS NOT NULL')
        return self._count(dangling(self._table, field.column, self._database.named(target)))

    def _count_broken(self, field: Field) -> int:
        """How many values of a column the field does not allow; checked one by one, only when limits changed."""
        column = f'"{field.column}"'
        rows = self._database.execute(f"SELECT {column} FROM {self._table} WHERE {column} IS NOT NULL")  # noqa: S608
        return sum(not _is_valid(field, value) for (value,) in rows)

    def _twice(self, column: str) -> list[Any]:
        values = f'SELECT "{column}" FROM {self._table} WHERE "{column}" IS NOT NULL'  # noqa: S608 - declared names
        return [row[0] for row in self._database.execute(f'{values} GROUP BY "{column}" HAVING count(*) > 1')]

    # -- the rest ---------------------------------------------------------------------------------------------

    def _add(self, name: str) -> None:
        field, default = self._resource.of_column[name], self._resource.defaults.get(name)
        with engine_connection(self._database) as connection:
            column = table_of(self._resource).c[name]
            definition = str(CreateColumn(column).compile(dialect=connection.dialect))
        given = "" if default is None else f" DEFAULT {_literal(default)}"
        if field.required and default is None:  # of an empty table; SQLite wants one where null is not allowed
            given = f" DEFAULT {_literal(field.stored())}"
        self._database.execute(f"ALTER TABLE {self._table} ADD COLUMN {definition}{given}")

    def _drop_indexes(self) -> None:
        """Drop the indexes that no field needs any more, or needs in another form."""
        wanted, recorded = declaration_of(self._resource)["indexes"], self._recorded["indexes"]
        for name in self._database.index_names(self._resource.table) & recorded.keys():
            if recorded[name] != wanted.get(name):
                self._database.execute(f"DROP INDEX {self._database.named(name)}")

    def _place(self, field: Field) -> str:
        return f"{self._resource.name}.{field.name}"

    def _counted(self, rows: int) -> str:
        return counted(rows, "record")

    def _count(self, condition: str) -> int:
        [(rows,)] = self._database.execute(f"SELECT count(*) FROM {self._table} WHERE {condition}")  # noqa: S608
        return int(rows)

    def _key(self, column: str) -> str:
        return f"{self._resource.table}.{column}"

    def _is_allowed(self, column: str) -> bool:
        return self._key(column) in self._allowed

    def _lossy(self, column: str, what: str) -> str:
        command = own_command(f"migrate --allow {self._key(column)}")
        return f"{what}: declare it as it was, or delete what does not fit with `{command}`"


def engine_connection(database: TableDatabase) -> Connection:
    """A connection of SQLAlchemy in the transaction that is open, which it neither ends nor closes."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs what it finds, which is reported here
    url = "sqlite://" if database.dialect == "sqlite" else "postgresql+psycopg://"
    engine = create_engine(url, creator=database.raw, poolclass=StaticPool, pool_reset_on_return=None)
    for ending in ("do_commit", "do_rollback", "do_close"):
        setattr(engine.dialect, ending, lambda _connection: None)
    return engine.connect()


def _is_valid(field: Field, stored: Any) -> bool:
    try:
        again = field.check(field.name, field.value_of(stored))
    except ValueError:
        return False
    return field.stored is not int or bool(again == stored)


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
