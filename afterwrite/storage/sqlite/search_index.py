"""Updates the search index asynchronously, in batches between the writes."""

from collections.abc import Iterable

import aiosqlite

_DROP = "INSERT INTO products_fts (products_fts, rowid, search_text) VALUES ('delete', ?, ?)"


async def note_stale(db: aiosqlite.Connection, product_ids: Iterable[int]) -> None:
    """Record products that are about to change, with their indexed text; call it in the same transaction, first.

    Products above ``indexed_through`` need no record: every search scans that tail.
    """
    indexed_through = await _indexed_through(db)
    noted = [(product_id, product_id) for product_id in product_ids if product_id <= indexed_through]
    if noted:
        # Keep an existing record: it has the text that is in the index.
        await db.executemany(
            "INSERT INTO search_behind (product_id, indexed_text) "
            "VALUES (?, (SELECT search_text FROM products WHERE id = ?)) ON CONFLICT DO NOTHING",
            noted,
        )


async def index_next(db: aiosqlite.Connection, limit: int) -> int:
    """Index up to ``limit`` changed products, or else of the tail; return their number."""
    return await _index_changes(db, limit) or await _index_tail(db, limit)


async def _index_changes(db: aiosqlite.Connection, limit: int) -> int:
    rows = list(
        await db.execute_fetchall(
            "SELECT product_id, indexed_text FROM search_behind ORDER BY product_id LIMIT ?", (limit,)
        )
    )
    if not rows:
        return 0
    await db.executemany(_DROP, [tuple(row) for row in rows if row[1] is not None])
    await db.executemany(
        "INSERT INTO products_fts (rowid, search_text) SELECT id, search_text FROM products WHERE id = ?",
        [(row[0],) for row in rows],
    )
    await db.execute("DELETE FROM search_behind WHERE product_id <= ?", (rows[-1][0],))
    return len(rows)


async def _index_tail(db: aiosqlite.Connection, limit: int) -> int:
    start = await _indexed_through(db)
    rows = await db.execute_fetchall(
        "SELECT max(id), count(*) FROM (SELECT id FROM products WHERE id > ? ORDER BY id LIMIT ?)", (start, limit)
    )
    [(end, count)] = rows
    if not count:
        return 0
    # One statement for all rows: a round trip to the driver's thread per row costs more than the index.
    await db.execute(
        "INSERT INTO products_fts (rowid, search_text) "
        "SELECT id, search_text FROM products WHERE id > ? AND id <= ? ORDER BY id",
        (start, end),
    )
    await db.execute("UPDATE search_state SET indexed_through = ?", (end,))
    return int(count)


async def _indexed_through(db: aiosqlite.Connection) -> int:
    [(value,)] = await db.execute_fetchall("SELECT indexed_through FROM search_state")
    return int(value)
