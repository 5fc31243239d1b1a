"""SQLite schema migrations: numbered SQL files, each applied once, in one transaction."""

import logging
import sqlite3
from pathlib import Path
from typing import Literal
from unicodedata import is_normalized

from afterwrite.base.store_errors import StoreError
from afterwrite.base.text import composed
from afterwrite.resources.first_version import search_text

_log = logging.getLogger("afterwrite.database")
_SQL = Path(__file__).parent / "sql"
_MAGIC = b"SQLite format 3\0"
_LEAST_SQLITE = (3, 37, 0)  # STRICT tables; FTS5's trigram came in 3.34


def can_be_database(path: Path) -> bool:
    """Whether SQLite may open a file: it is missing or empty, has a database header, or its journal can repair it.

    Call it before this process opens the file: SQLite applies a WAL to any file in the database's place and deletes the
    one beside an empty file, and POSIX drops a process's locks on a file when it closes any handle of it.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError:
        return True  # opening it says why
    if not begins:
        return not _has_content(path.with_name(f"{path.name}-wal"))
    # A power cut in the first transaction leaves NULs and a journal, with which SQLite rolls back.
    was_cut = not begins.strip(b"\0") and _has_content(path.with_name(f"{path.name}-journal"))
    return begins == _MAGIC or was_cut


def is_missing(path: Path) -> bool:
    """Whether the file is missing or empty."""
    return not _has_content(path)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def catalogue_name(connection: sqlite3.Connection) -> str:
    """The random name that a product database gets at its creation."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'catalogue'").fetchone()
    return str(row[0])


def migrate(connection: sqlite3.Connection, name: Literal["products", "journal", "tasks"]) -> None:
    """Migrate the database of this name; idempotent, and safe in two processes at once.

    ``connection`` must be in autocommit mode (``isolation_level=None``).
    """
    _check_sqlite()
    steps = sorted(_SQL.glob(f"{name}_*.sql"))
    newest = int(steps[-1].stem.rpartition("_")[2])
    if _version(connection) == newest:
        return
    connection.create_function("composed", 1, _composed, deterministic=True)
    connection.create_function("are_composed", -1, _are_composed, deterministic=True)
    connection.create_function("search_text", 3, search_text, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    try:
        present = _version(connection)  # another process may have migrated it
        if present > newest:
            raise StoreError(
                f"The {name} database has schema version {present}, this program knows {newest}: "
                "start a newer version of the program, or use another DATA_DIR"
            )
        if present:
            _log.warning(
                "The %s database goes from schema version %d to %d: a large one takes a while", name, present, newest
            )
        for step in steps[present:]:
            _run_script(connection, step.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run each statement in the open transaction; ``executescript`` would commit it first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _composed(text: str | None) -> str | None:
    return None if text is None else composed(text)


def _are_composed(*texts: str | None) -> bool:
    return all(text is None or text.isascii() or is_normalized("NFC", text) for text in texts)


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        least = ".".join(map(str, _LEAST_SQLITE))
        raise StoreError(
            f"This Python has SQLite {sqlite3.sqlite_version}; {least} or later is needed: use a newer build of Python"
        )
