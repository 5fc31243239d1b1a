"""Opens read-only engines and write connections for SQLite files."""

import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import sqlite

from afterwrite.base.store_errors import StoreError, StoreUnavailable
from afterwrite.storage.driver import DriverConnection, translate_errors
from afterwrite.storage.sqlite.opened_file import OpenedFile, save_committed

_CACHE_KIB = 1024  # per connection, one per thread; the operating system caches the file for all
_BUSY_SECONDS = 2
# Errors of a statement or a value; all others mean that the database cannot be used.
_STATEMENT_ERRORS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def open_reader(path: Path, threads: int) -> Engine:
    """An engine for reading from ``threads`` threads.

    Its connections are ``query_only``, never create the file, and run in autocommit: each statement sees the newest
    commit, and no read holds a snapshot open.
    """
    engine = create_engine(
        f"sqlite:///file:{_escaped(path)}?mode=rw&uri=true",
        isolation_level="AUTOCOMMIT",
        pool_size=threads,
        max_overflow=0,
        pool_reset_on_return=None,
        connect_args={"check_same_thread": False, "timeout": 5},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    translate_errors(engine, partial(_explained, f"The database {path} cannot be read"))
    return engine


def open_writer(file: OpenedFile, sync: str = "full") -> DriverConnection:
    """A connection for writing; transactions begin with the write lock, and fail once the file was replaced.

    ``sync`` is ``full`` (a commit survives a power cut) or ``normal`` (only a killed process). Raises StoreUnavailable.
    """
    what = f"The database {file.path} cannot be written"
    explain = partial(_explained, what)

    def check() -> None:
        try:
            file.check()
        except StoreError as error:
            raise _unavailable(what, error) from error

    check()  # before opening: SQLite would apply an existing WAL to any file
    try:
        raw = sqlite3.connect(
            f"file:{_escaped(file.path)}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise explain(error) from error

    def check_or_save() -> None:
        try:
            check()
        except StoreUnavailable:
            save_committed(raw)
            raise

    connection = DriverConnection(raw, sqlite.dialect(), _begin, explain, lambda: True, check_or_save)
    try:
        connection.execute(lambda cursor: cursor.execute(f"PRAGMA synchronous = {sync}"))
    except StoreUnavailable:
        connection.close()
        raise
    return connection


def _begin(cursor: sqlite3.Cursor) -> int:
    cursor.execute("BEGIN IMMEDIATE")
    return time.time_ns() // 1000


def _explained(what: str, error: Exception) -> Exception:
    """StoreUnavailable for an unusable database, else the error itself."""
    if isinstance(error, sqlite3.Error) and not isinstance(error, _STATEMENT_ERRORS):
        return _unavailable(what, error)
    return error


def _unavailable(what: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"{what}: {error}. What was accepted is safe; see /health")


def _escaped(path: Path) -> str:
    return str(path.resolve().as_posix()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
