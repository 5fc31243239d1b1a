"""Detects that the file of an open database was deleted or replaced, and saves what its WAL still holds."""

import contextlib
import os
import sqlite3
from pathlib import Path

from afterwrite.base.store_errors import StoreError


class OpenedFile:
    """The file of a database, and files beside it, as they were when this was made; any thread may check them.

    SQLite keeps committing into a file that was deleted or replaced, and a restart loses those commits. A WAL is given
    only where one connection keeps it open: elsewhere SQLite itself may delete it and create a new one.
    """

    def __init__(self, path: Path, *beside: Path) -> None:
        """Raises StoreError where one of the files is missing."""
        self.path = path
        self._opened = {str(one): _identity(str(one)) for one in (path, *beside)}

    def check(self) -> None:
        """Raise StoreError unless every file is still there under its name."""
        for path, identity in self._opened.items():
            if _identity(path) != identity:
                name = Path(path).name
                raise StoreError(
                    f"the file {name} was replaced: put the first one back, or restart to use this one"
                )


def wal_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def save_committed(connection: sqlite3.Connection) -> None:
    """Roll back, and move into the database what its WAL holds: no later connection would find one that is gone.

    It is as complete as SQLite, which still has the WAL open, can make it.
    """
    with contextlib.suppress(sqlite3.Error):  # that the WAL is gone is the error to report
        connection.rollback()
        connection.execute("PRAGMA wal_checkpoint")


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path would be made into a text at every commit
    except OSError as error:
        name, reason = Path(path).name, error.strerror
        raise StoreError(f"the file {name} is gone ({reason}): put it back, or restart") from error
    return status.st_dev, status.st_ino
