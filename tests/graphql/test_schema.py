"""The schema: made once however often it is asked for, and the same to SQLAlchemy as to SQLite."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from declared import PRODUCT, RESOURCES
from server_process import ROOT
from sqlalchemy import Table

from afterwrite.base.store_errors import StoreError
from afterwrite.storage.ledger import ledger, ledger_totals
from afterwrite.storage.sqlite.declared import follow_declarations
from afterwrite.storage.sqlite.migrations import catalogue_name, migrate
from afterwrite.storage.tables import table_of

pytestmark = pytest.mark.one_database("the schema of the files")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A product database with the newest schema."""
    path = tmp_path / "products.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, "products")
        follow_declarations(connection, RESOURCES)
    return path


@pytest.mark.parametrize("table", [table_of(PRODUCT), ledger, ledger_totals], ids=lambda table: table.name)
def test_the_tables_of_the_queries_are_those_of_the_schema(database: Path, table: Table) -> None:
    with closing(sqlite3.connect(database)) as connection:
        columns = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
    assert [name for _number, name, *_rest in columns] == [column.name for column in table.columns]


def test_a_second_migration_changes_nothing(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        name, version = catalogue_name(connection), connection.execute("PRAGMA schema_version").fetchone()
        migrate(connection, "products")
        assert (catalogue_name(connection), connection.execute("PRAGMA schema_version").fetchone()) == (name, version)


def test_processes_that_migrate_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    script = f"""
import sqlite3, sys
sys.path.insert(0, {str(ROOT)!r})
from afterwrite.storage.sqlite.migrations import catalogue_name, migrate
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
sys.stdin.read(1)
migrate(connection, "products")
print(catalogue_name(connection))
connection.close()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "products.db")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    names = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(names) == 1


@pytest.mark.parametrize("name", ["products", "journal"])
def test_a_schema_from_the_future_is_refused(tmp_path: Path, name: Literal["products", "journal"]) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")
        with pytest.raises(StoreError, match="schema version 99, this program knows "):
            migrate(connection, name)
        assert not connection.in_transaction
