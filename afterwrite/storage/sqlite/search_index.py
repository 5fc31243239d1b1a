"""Updates the search index of a resource asynchronously, in batches between the writes."""

from collections.abc import Iterable

import aiosqlite


def index_tables(table: str) -> list[str]:
    """The statements that create the search index of a table.

    The index follows the records in batches of its own. It holds every record up to ``indexed_through`` as it was when
    it was indexed; ``…_search_behind`` names those of them that have changed since, with the text that the index still
    holds (null: none).
    """
    return [
        f"CREATE VIRTUAL TABLE {table}_fts USING fts5(search_text, content = '', columnsize = 0, detail = none, "
        'tokenize = "trigram case_sensitive 1")',
        f"CREATE TABLE {table}_search_state (one INTEGER PRIMARY KEY CHECK (one = 1), "
        "indexed_through INTEGER NOT NULL) STRICT",
        f"INSERT INTO {table}_search_state (one, indexed_through) VALUES (1, 0)",  # noqa: S608 - a declared name
        f"CREATE TABLE {table}_search_behind (record_id INTEGER PRIMARY KEY, indexed_text TEXT) STRICT",
    ]


def index_names(table: str) -> list[str]:
    """The tables of the search index of a table."""
    return [f"{table}_fts", f"{table}_search_state", f"{table}_search_behind"]


class SearchIndex:
    """The search index of one table, in an open transaction."""

    def __init__(self, table: str) -> None:
        fts, state, behind = index_names(table)
        self._through = f"SELECT indexed_through FROM {state}"  # noqa: S608 - declared names, here and below
        # Keep an existing record: it has the text that is in the index.
        self._note = (
            f"INSERT INTO {behind} (record_id, indexed_text) "  # noqa: S608
            f"VALUES (?, (SELECT search_text FROM {table} WHERE id = ?)) ON CONFLICT DO NOTHING"
        )
        self._stale = f"SELECT record_id, indexed_text FROM {behind} ORDER BY record_id LIMIT ?"  # noqa: S608
        self._drop = f"INSERT INTO {fts} ({fts}, rowid, search_text) VALUES ('delete', ?, ?)"  # noqa: S608
        self._add = f"INSERT INTO {fts} (rowid, search_text) SELECT id, search_text FROM {table} "  # noqa: S608
        self._forget = f"DELETE FROM {behind} WHERE record_id <= ?"  # noqa: S608
        self._tail = f"SELECT max(id), count(*) FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT ?)"  # noqa: S608
        self._advance = f"UPDATE {state} SET indexed_through = ?"  # noqa: S608

    async def note_stale(self, db: aiosqlite.Connection, record_ids: Iterable[int]) -> None:
        """Record what is about to change, with its indexed text; call it in the same transaction, first.

        Records above ``indexed_through`` need no note: every search scans that tail.
        """
        indexed_through = await self._indexed_through(db)
        noted = [(record_id, record_id) for record_id in record_ids if record_id <= indexed_through]
        if noted:
            await db.executemany(self._note, noted)

    async def index_next(self, db: aiosqlite.Connection, limit: int) -> int:
        """Index up to ``limit`` changed records, or else of the tail; return their number."""
        return await self._index_changes(db, limit) or await self._index_tail(db, limit)

    async def _index_changes(self, db: aiosqlite.Connection, limit: int) -> int:
        rows = list(await db.execute_fetchall(self._stale, (limit,)))
        if not rows:
            return 0
        await db.executemany(self._drop, [tuple(row) for row in rows if row[1] is not None])
        await db.executemany(f"{self._add} WHERE id = ?", [(row[0],) for row in rows])
        await db.execute(self._forget, (rows[-1][0],))
        return len(rows)

    async def _index_tail(self, db: aiosqlite.Connection, limit: int) -> int:
        start = await self._indexed_through(db)
        [(end, count)] = await db.execute_fetchall(self._tail, (start, limit))
        if not count:
            return 0
        # One statement for all rows: a round trip to the driver's thread per row costs more than the index.
        await db.execute(f"{self._add} WHERE id > ? AND id <= ? ORDER BY id", (start, end))
        await db.execute(self._advance, (end,))
        return int(count)

    async def _indexed_through(self, db: aiosqlite.Connection) -> int:
        [(value,)] = await db.execute_fetchall(self._through)
        return int(value)
