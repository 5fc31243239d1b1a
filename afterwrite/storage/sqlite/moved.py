"""The mark of a product database that was moved to PostgreSQL, so that no server uses the stale copy."""

import sqlite3
from contextlib import closing
from pathlib import Path

from afterwrite.base.own_command import own_command
from afterwrite.base.store_errors import StoreError

_FIND = "SELECT value FROM meta WHERE name = 'moved_to'"
_MARK = "INSERT INTO meta (name, value) VALUES ('moved_to', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_UNMARK = "DELETE FROM meta WHERE name = 'moved_to'"


def moved_to(connection: sqlite3.Connection) -> str | None:
    """Where the data was moved to, or None."""
    row = connection.execute(_FIND).fetchone()
    return None if row is None else str(row[0])


def require_not_moved(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError if the data was moved; the text says where, and how to go back."""
    address = moved_to(connection)
    if address is not None:
        raise StoreError(
            f"The data in {path.parent} was moved to {address}: set DATABASE_URL to that database. To go back to what "
            "is in the folder, without all that has come into PostgreSQL since, run "
            f"`{own_command('migrate-to-postgres --reopen')}`"
        )


def mark_moved(path: Path, address: str | None) -> None:
    """Record where the data was moved to (``address`` without a password; None: nowhere); on disk on return."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(*((_UNMARK,) if address is None else (_MARK, (address,))))
    except sqlite3.Error as error:
        raise StoreError(
            f"The database {path} cannot be written: {error}. Check the rights and the free space, and run this again"
        ) from error
