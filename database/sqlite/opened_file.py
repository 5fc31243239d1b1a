"""Tells whether a database is still the file that was opened under its name."""

from pathlib import Path

from database.errors import StoreError


class OpenedFile:
    """The file under a name, as it was when this was made; any thread may check it.

    A file that was deleted or replaced under its name takes commits that nobody can read after a restart, and SQLite
    does not notice.
    """

    def __init__(self, path: Path) -> None:
        """Raises StoreError where there is no such file."""
        self.path = path
        self._identity = self._look()

    def check(self) -> None:
        """Raise StoreError unless the file is still there under its name."""
        if self._look() != self._identity:
            raise StoreError("the file was replaced: put the first one back, or restart to use this one")

    def _look(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except OSError as error:
            raise StoreError(f"the file is gone ({error.strerror}): put it back") from error
        return status.st_dev, status.st_ino
