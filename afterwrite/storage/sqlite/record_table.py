"""The statements of the SQLite writer on the table of one resource."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import aiosqlite

from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.storage.sqlite.many_rows import insert_statements
from afterwrite.storage.sqlite.search_index import SearchIndex

_MOST_VALUES = 500  # in one IN list; SQLite allows some thousands


class RecordTable:
    """Reads and changes records in an open transaction; see ``record_table_of``."""

    def __init__(self, resource: CompiledResource) -> None:
        self._resource, table = resource, resource.table
        self.index = SearchIndex(table) if resource.searched else None
        stored = (*resource.columns, "search_text")
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in stored[1:])
        self._load = f"SELECT {_listed(resource.columns)} FROM {table} WHERE id IN "  # noqa: S608 - declared names
        self._into, self._or_change = f"{table} ({_listed(stored)})", f"ON CONFLICT (id) DO UPDATE SET {changes}"
        self._delete = f"DELETE FROM {table} WHERE id = ?"  # noqa: S608
        self._referring = f'SELECT {_listed(resource.columns)} FROM {table} WHERE "{{}}" = ? ORDER BY id LIMIT ?'  # noqa: S608
        self._owners = f'SELECT id, "{{0}}" FROM {table} WHERE "{{0}}" IN '  # noqa: S608

    async def load(self, db: aiosqlite.Connection, ids: Collection[int]) -> dict[int, Record]:
        """The existing records among these ids."""
        return {row[0]: self._resource.record(*row) for row in await _rows_in(db, self._load, sorted(ids))}

    async def owners(self, db: aiosqlite.Connection, column: str, values: Collection[Any]) -> dict[Any, int | None]:
        """The id of the record that holds each value of a unique column, None where no record does."""
        rows = await _rows_in(db, self._owners.format(column), list(values))
        return dict.fromkeys(values) | {value: record_id for record_id, value in rows}

    async def referring(self, db: aiosqlite.Connection, column: str, record_id: int, limit: int) -> dict[int, Record]:
        """At most ``limit`` records whose reference in ``column`` is ``record_id``, by id."""
        rows = await db.execute_fetchall(self._referring.format(column), (record_id, limit))
        return {row[0]: self._resource.record(*row) for row in rows}

    async def change(self, db: aiosqlite.Connection, stored: Sequence[Record], deleted: Sequence[int]) -> None:
        """Delete and store records."""
        if self.index is not None:
            await self.index.note_stale(db, [*(record.id for record in stored), *deleted])
        if deleted:  # first, so that their unique values are free
            await db.executemany(self._delete, [(record_id,) for record_id in deleted])
        rows = [(*record, record.search_text) for record in stored]
        for statement, values in insert_statements(self._into, rows, self._or_change):
            await db.execute(statement, values)


record_table_of = cache(RecordTable)
"""The statements for a resource, made once."""


async def _rows_in(db: aiosqlite.Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(values), _MOST_VALUES):
        some = values[start : start + _MOST_VALUES]
        found += await db.execute_fetchall(f"{statement}({_marks(some)})", some)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
