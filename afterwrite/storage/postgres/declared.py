"""The tables of resources in PostgreSQL; see ``declared_tables``."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import psycopg

from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage import declared_tables
from afterwrite.storage.driver import SCHEMA
from afterwrite.storage.postgres.meta import KEEP
from afterwrite.storage.tables import id_sequence, recompute_key

LOCK = 7_046_029_254_386_355  # arbitrary number of the advisory lock for declarations
_INDEXES = """
SELECT own.relname FROM pg_index AS i JOIN pg_class AS own ON own.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = own.oid)
"""
_CHECKS = "SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'"


def follow_declarations(
    connection: "psycopg.Connection[Any]",
    resources: Mapping[str, CompiledResource],
    trigram: Callable[[], str],
    allowed: Collection[str] = (),
) -> None:
    """Bring the tables to the declarations in one transaction; one process at a time does. Raises StoreError.

    ``trigram`` gives the qualified operator class of pg_trgm.
    """
    database = PostgresTables(connection, trigram)
    if not allowed and declared_tables.is_up_to_date(database, resources):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute(f"SELECT set_config('search_path', '{SCHEMA}', true)")
        if allowed or not declared_tables.is_up_to_date(database, resources):  # else another process did it
            declared_tables.bring_up_to_date(database, resources, allowed)


class PostgresTables:
    """See ``TableDatabase``."""

    dialect = "postgresql"

    def __init__(self, connection: "psycopg.Connection[Any]", trigram: Callable[[], str]) -> None:
        self._connection, self._trigram = connection, trigram

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        text = statement
        if "gin_trgm_ops" in statement:
            text = statement.replace("gin_trgm_ops", self._trigram())
        if values:
            text = text.replace("%", "%%").replace("?", "%s")
        cursor = self._connection.execute(text.encode(), values or None)
        return [] if cursor.description is None else cursor.fetchall()

    def raw(self) -> "psycopg.Connection[Any]":
        return self._connection

    def named(self, table: str) -> str:
        return f"{SCHEMA}.{table}"

    def has_table(self, table: str) -> bool:
        return self._connection.execute("SELECT to_regclass(%s)", (self.named(table),)).fetchone() != (None,)

    def index_names(self, table: str) -> set[str]:
        return {name for (name,) in self._connection.execute(_INDEXES, (self.named(table),)).fetchall()}

    def make_beside(self, resource: CompiledResource) -> None:
        self.execute(f"CREATE SEQUENCE IF NOT EXISTS {id_sequence(resource.table)}")

    def search_changed(self, resource: CompiledResource, was_searched: bool) -> None:
        self._connection.execute(KEEP, (recompute_key(resource), "0"))

    def reshape(
        self, resource: CompiledResource, optional: Sequence[str], required: Sequence[str], looser: bool
    ) -> None:
        table = self.named(resource.table)
        for (name,) in self._connection.execute(_CHECKS, (table,)).fetchall() if looser else ():
            self.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for column in optional:
            self.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" DROP NOT NULL')
        for column in required:
            self.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" SET NOT NULL')

    def drop(self, table: str) -> None:
        self.execute(f"DROP TABLE {self.named(table)}")
