"""The database of a peer: a pool of connections to read with, and one connection to write with."""

import os
from typing import Any

from sqlalchemy import Engine, create_engine, event

# SQLite has one writer at a time: connections that wait for its lock sleep and try again, those that wait for the one
# connection of this pool take turns. Reads have SQLAlchemy's default pool, 5 connections and 10 more at need.
WRITER = {"pool_size": 1, "max_overflow": 0}


def engines() -> tuple[Engine, Engine]:
    """Return the engines for reads and for writes."""
    reads, writes = create_engine(url_of("sqlite")), create_engine(url_of("sqlite"), **WRITER)
    set_up(reads)
    set_up(writes)
    return reads, writes


def url_of(driver: str) -> str:
    """Return the address of the database PEER_DATABASE."""
    return f"{driver}:///{os.environ['PEER_DATABASE']}"


def set_up(engine: Engine) -> None:
    """Let readers and the writer not wait for each other, and commits be on disk as PEER_SYNCHRONOUS says."""

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={os.environ['PEER_SYNCHRONOUS']}")
        cursor.close()
