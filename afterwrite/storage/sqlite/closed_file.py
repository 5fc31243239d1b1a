"""Looks into a database file that no process has open.

Standard library only: dev.py decides with it, in a millisecond, whether there is anything to load.
"""

import contextlib
import sqlite3
from pathlib import Path


def holds_records(path: Path, table: str) -> bool:
    """Whether the table has a row. False also if that cannot be told without recovering its WAL."""
    if not path.exists() or path.with_name(f"{path.name}-wal").exists():
        return False
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as database:
            return bool(database.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0])  # noqa: S608
    except sqlite3.Error:  # the program that loads reports it
        return False
