"""Tells whether a database is still the file that was opened under its name."""

from pathlib import Path

from database.errors import StoreError


class OpenedFile:
    """The file of a database, and files beside it, as they were when this was made; any thread may check them.

    A file that was deleted or replaced under its name takes commits that nobody can read after a restart, and SQLite
    does not notice. Its WAL is given where a connection keeps that open all the time; else SQLite may make a new one.
    """

    def __init__(self, path: Path, *beside: Path) -> None:
        """Raises StoreError where one of the files is missing."""
        self.path = path
        self._opened = {one: _identity(one) for one in (path, *beside)}

    def check(self) -> None:
        """Raise StoreError unless every file is still there under its name."""
        for path, identity in self._opened.items():
            if _identity(path) != identity:
                raise StoreError(
                    f"the file {path.name} was replaced: put the first one back, or restart to use this one"
                )


def wal_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise StoreError(
            f"the file {path.name} is gone ({error.strerror}): put it back, or restart"
        ) from error
    return status.st_dev, status.st_ino
