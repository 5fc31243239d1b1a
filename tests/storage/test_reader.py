"""Reads at the driver: connections are kept, and a failed one is replaced or explained by the engine."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import bindparam, column, select, table

from afterwrite.base.store_errors import StoreUnavailable
from afterwrite.storage.driver import DriverStatement, Reader
from afterwrite.storage.sqlite.engine import open_reader

NAMES = table("names", column("id"), column("name"))
BY_ID = DriverStatement(select(NAMES.c.name).where(NAMES.c.id == bindparam("id")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "names.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO names VALUES (?, ?)", [(1, "one"), (2, "two")])
    connection.close()
    return path


def test_a_connection_is_kept_for_the_next_statement_and_closed_with_the_engine(path: Path) -> None:
    engine = open_reader(path, threads=2)
    reader = Reader(engine)
    assert [reader.rows(BY_ID, {"id": number}) for number in (1, 2, 3)] == [[("one",)], [("two",)], []]
    [kept] = reader._free
    engine.dispose()
    assert not reader._free
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        kept.execute("SELECT 1")


def test_many_threads_share_the_connections(path: Path) -> None:
    engine = open_reader(path, threads=4)
    reader, found = Reader(engine), list[str]()

    def read() -> None:
        for _ in range(200):
            found.extend(name for (name,) in reader.rows(BY_ID, {"id": 2}))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["two"] * 1_600
    assert len(reader._free) <= len(threads)
    engine.dispose()


def test_a_connection_that_fails_is_replaced(path: Path) -> None:
    engine = open_reader(path, threads=2)
    reader = Reader(engine)
    reader.rows(BY_ID, {"id": 1})
    reader._free[0].close()
    assert list(reader.rows(BY_ID, {"id": 1})) == [("one",)]
    assert not reader._free
    assert reader.rows(BY_ID, {"id": 2}) == [("two",)]
    engine.dispose()


def test_an_unusable_database_is_explained_as_the_engine_explains_it(path: Path) -> None:
    engine = open_reader(path, threads=2)
    reader = Reader(engine)
    reader.rows(BY_ID, {"id": 1})
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE names")
    connection.close()
    with pytest.raises(StoreUnavailable, match=r"names\.db cannot be read: no such table: names"):
        reader.rows(BY_ID, {"id": 1})
    engine.dispose()


def test_a_kept_connection_cannot_write(path: Path) -> None:
    engine = open_reader(path, threads=2)
    reader = Reader(engine)
    reader.rows(BY_ID, {"id": 1})
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._free[0].execute("DELETE FROM names")
    engine.dispose()
