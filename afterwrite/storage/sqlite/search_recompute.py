"""Recomputes the searched texts of a table after another declaration searched other fields, in batches."""

import aiosqlite

from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.sqlite.record_table import record_table_of
from afterwrite.storage.tables import recompute_key

_NEXT = "SELECT value FROM meta WHERE name = ?"
_KEEP = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_DONE = "DELETE FROM meta WHERE name = ?"


async def recompute_next(db: aiosqlite.Connection, resource: CompiledResource, limit: int) -> bool:
    """Recompute the texts of up to ``limit`` records in the open transaction; return whether there were any."""
    key = recompute_key(resource)
    found = list(await db.execute_fetchall(_NEXT, (key,)))
    if not found:
        return False
    [(through,)] = found
    columns = ", ".join(f'"{name}"' for name in resource.columns)
    rows = list(
        await db.execute_fetchall(
            f"SELECT {columns} FROM {resource.table} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - declared names
            (int(through), limit),
        )
    )
    if not rows:
        await db.execute(_DONE, (key,))
        return False
    await record_table_of(resource).change(db, [resource.record(*row) for row in rows], [])
    await db.execute(_KEEP, (key, str(rows[-1][0])))
    return True
