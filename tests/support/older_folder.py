"""Makes databases of an older schema, as the released files of that version make them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from server_process import ROOT


def make_older(path: Path, name: str, version: int) -> None:
    """Make a database with the first ``version`` schema files of ``name`` (journal, products or tasks)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for number in range(1, version + 1):
            script = ROOT / "afterwrite" / "storage" / "sqlite" / "sql" / f"{name}_{number:04}.sql"
            connection.executescript(script.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA user_version = {version}")


def run_on(path: Path, statement: str, *values: object) -> None:
    """Run a statement on a database that nobody has open."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)
