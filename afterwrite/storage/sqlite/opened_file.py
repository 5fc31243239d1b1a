"""Detects that the file of an open database was deleted or replaced, and rescues the commits in its WAL."""

import contextlib
import os
import sqlite3
from pathlib import Path

from afterwrite.base.store_errors import StoreError


class OpenedFile:
    """The identity of a database file and its side files at opening; thread-safe.

    SQLite keeps committing into a deleted or replaced file, and a restart loses those commits. Pass the WAL only if a
    connection keeps it open: otherwise SQLite itself may delete and recreate it.
    """

    def __init__(self, path: Path, *beside: Path) -> None:
        """Raises StoreError if a file is missing."""
        self.path = path
        self._opened = {str(one): _identity(str(one)) for one in (path, *beside)}

    def check(self) -> None:
        """Raise StoreError if a file was deleted or replaced."""
        for path, identity in self._opened.items():
            if _identity(path) != identity:
                name = Path(path).name
                raise StoreError(f"the file {name} was replaced: put the first one back, or restart to use this one")


def wal_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def save_committed(connection: sqlite3.Connection) -> None:
    """Roll back and checkpoint: a deleted WAL is still open here, but no later connection finds it."""
    with contextlib.suppress(sqlite3.Error):  # the missing WAL is the error to report
        connection.rollback()
        connection.execute("PRAGMA wal_checkpoint")


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat() is slower, and this runs at every commit
    except OSError as error:
        name, reason = Path(path).name, error.strerror
        raise StoreError(f"the file {name} is gone ({reason}): put it back, or restart") from error
    return status.st_dev, status.st_ino
