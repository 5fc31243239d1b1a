"""Opens the SQLAlchemy engine that answers reads."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext

from database.schema import StoreError

_CACHE_KIB = 4 * 1024


class StoreUnavailable(StoreError):
    """The product database cannot be read at the moment."""


def open_reader(path: Path, threads: int) -> Engine:
    """An engine for reading the product database from ``threads`` threads.

    Its connections cannot write (``query_only``), never create the file, and run in autocommit, so each
    statement sees the newest commit and no read holds a snapshot open.
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

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, sqlite3.Error):
            raise StoreUnavailable(
                f"The product database {path} cannot be read: {context.original_exception}. "
                "Accepted writes are safe in the journal; see /health"
            ) from context.original_exception

    return engine


def _escaped(path: Path) -> str:
    return str(path.resolve().as_posix()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
