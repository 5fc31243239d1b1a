"""The tables of resources in the product database; see ``declared_tables``."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage import declared_tables
from afterwrite.storage.sqlite.search_index import index_names, index_tables
from afterwrite.storage.tables import indexes_of, recompute_key, table_of


def follow_declarations(
    connection: sqlite3.Connection, resources: Mapping[str, CompiledResource], allowed: Collection[str] = ()
) -> None:
    """Bring the tables to the declarations in one transaction; ``connection`` is in autocommit. Raises StoreError."""
    database = SqliteTables(connection)
    unindexed = [resource for resource in resources.values() if database.has_older_index(resource)]
    if not allowed and not unindexed and declared_tables.is_up_to_date(database, resources):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for resource in unindexed:
            database.drop_index(resource.table)
            database.make_beside(resource)
        declared_tables.bring_up_to_date(database, resources, allowed)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class SqliteTables:
    """See ``TableDatabase``."""

    dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def raw(self) -> sqlite3.Connection:
        return self._connection

    def named(self, table: str) -> str:
        return table

    def has_table(self, table: str) -> bool:
        return bool(self.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", table))

    def index_names(self, table: str) -> set[str]:
        of_table = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
        return {name for (name,) in self.execute(of_table, table)}

    def make_beside(self, resource: CompiledResource) -> None:
        for statement in index_tables(resource.table) if resource.searched else ():
            self.execute(statement)

    def search_changed(self, resource: CompiledResource, was_searched: bool) -> None:
        if was_searched and not resource.searched:
            self.drop_index(resource.table)
        elif resource.searched and not was_searched:
            self.make_beside(resource)
        keep = "INSERT INTO meta (name, value) VALUES (?, '0') ON CONFLICT (name) DO UPDATE SET value = '0'"
        self.execute(keep, recompute_key(resource))

    def reshape(
        self, resource: CompiledResource, optional: Sequence[str], required: Sequence[str], looser: bool
    ) -> None:
        [(definition,)] = self.execute("SELECT sql FROM sqlite_schema WHERE name = ?", resource.table)
        if optional or required or "CHECK" in definition:
            self._rebuild(resource)

    def drop(self, table: str) -> None:
        self.drop_index(table)
        self.execute(f"DROP TABLE {table}")

    def has_older_index(self, resource: CompiledResource) -> bool:
        """Whether the table has the search index that versions before had."""
        found = self.has_table(f"{resource.table}_search_state")
        return found and not self.has_table(index_names(resource.table)[0])

    def drop_index(self, table: str) -> None:
        """Drop the search index of a table, if there is one."""
        for name in index_names(table):
            self.execute(f"DROP TABLE IF EXISTS {name}")

    def _rebuild(self, resource: CompiledResource) -> None:
        """Make the table again with its rows: SQLite cannot change the constraints of a column.

        The caller creates the indexes of the declaration; others are made again here.
        """
        table, columns = resource.table, ", ".join(f'"{name}"' for name in (*resource.columns, "search_text"))
        own = {index.name for index in indexes_of(resource, self.dialect)}
        beside = self.execute("SELECT name, sql FROM sqlite_schema WHERE tbl_name = ? AND type <> 'table'", table)
        made = str(CreateTable(table_of(resource)).compile(dialect=sqlite.dialect()))
        self.execute(made.replace(f"CREATE TABLE {table}", f"CREATE TABLE {table}_rebuilt", 1))
        self.execute(f"INSERT INTO {table}_rebuilt ({columns}) SELECT {columns} FROM {table} ORDER BY id")  # noqa: S608
        self.execute(f"DROP TABLE {table}")
        self.execute(f"ALTER TABLE {table}_rebuilt RENAME TO {table}")
        for name, statement in beside:
            if statement is not None and name not in own:
                self.execute(statement)
