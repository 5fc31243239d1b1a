"""The statements of the drain on the table of one resource in PostgreSQL."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import psycopg

from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.storage.driver import SCHEMA, encode_rows
from afterwrite.storage.postgres.meta import KEEP, KEPT
from afterwrite.storage.tables import recompute_key

Connection = psycopg.AsyncConnection[Any]
_DONE = "DELETE FROM afterwrite.meta WHERE name = %s"


class RecordTable:
    """Reads and changes records in an open transaction; see ``record_table_of``."""

    def __init__(self, resource: CompiledResource) -> None:
        self._resource, table = resource, f"{SCHEMA}.{resource.table}"
        stored = (*resource.columns, "search_text")
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in stored[1:])
        own = _listed(resource.columns)
        self._load = f"SELECT {own} FROM {table} WHERE id = ANY(%s)"  # noqa: S608 - declared names, here and below
        self._next = f"SELECT {own} FROM {table} WHERE id > %s ORDER BY id LIMIT %s"  # noqa: S608
        self._upsert = (
            f"INSERT INTO {table} ({_listed(stored)}) SELECT {_listed(stored)} "  # noqa: S608
            f"FROM json_populate_recordset(NULL::{table}, %s::json) ON CONFLICT (id) DO UPDATE SET {changes}"
        )
        self._delete = f"DELETE FROM {table} WHERE id = ANY(%s)"  # noqa: S608
        self._referring = f'SELECT {own} FROM {table} WHERE "{{}}" = %s ORDER BY id LIMIT %s'  # noqa: S608
        self._owners = f'SELECT id, "{{0}}" FROM {table} WHERE "{{0}}" = ANY(%s)'  # noqa: S608

    async def load(self, connection: Connection, ids: Collection[int]) -> dict[int, Record]:
        """The existing records among these ids."""
        return {row[0]: self._resource.record(*row) for row in await _rows(connection, self._load, sorted(ids))}

    async def owners(self, connection: Connection, column: str, values: Collection[Any]) -> dict[Any, int | None]:
        """The id of the record that holds each value of a unique column, None where no record does."""
        rows = await _rows(connection, self._owners.format(column), list(values))
        return dict.fromkeys(values) | {value: record_id for record_id, value in rows}

    async def referring(self, connection: Connection, column: str, record_id: int, limit: int) -> dict[int, Record]:
        """At most ``limit`` records whose reference in ``column`` is ``record_id``, by id."""
        cursor = await connection.execute(self._referring.format(column).encode(), (record_id, limit))
        return {row[0]: self._resource.record(*row) for row in await cursor.fetchall()}

    async def change(self, connection: Connection, stored: Sequence[Record], deleted: Sequence[int]) -> None:
        """Delete and store records; in a pipeline, so that no call waits."""
        if deleted:  # first, so that their unique values are free
            await connection.execute(self._delete, (list(deleted),))
        if stored:
            columns = (*self._resource.columns, "search_text")
            values = [dict(zip(columns, (*record, record.search_text), strict=True)) for record in stored]
            await connection.execute(self._upsert, (encode_rows(values),))

    async def recompute_next(self, connection: Connection, limit: int) -> bool:
        """Recompute the searched texts of some records that another declaration made; return whether there were any."""
        key = recompute_key(self._resource)
        kept = await (await connection.execute(KEPT, (key,))).fetchone()
        if kept is None:
            return False
        rows = await (await connection.execute(self._next, (int(kept[0]), limit))).fetchall()
        if not rows:
            await connection.execute(_DONE, (key,))
            return False
        await self.change(connection, [self._resource.record(*row) for row in rows], [])
        await connection.execute(KEEP, (key, str(rows[-1][0])))
        return True


record_table_of = cache(RecordTable)
"""The statements for a resource, made once."""


async def _rows(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    return await (await connection.execute(statement.encode(), (values,))).fetchall()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
