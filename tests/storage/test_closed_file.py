"""Looks into product databases that no process has open."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from afterwrite.storage.sqlite.closed_file import holds_records

pytestmark = pytest.mark.one_database("looks into files")


def test_it_holds_records_once_one_is_there_and_nobody_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "products.db"
    assert not holds_records(path, "products")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        assert not holds_records(path, "products")
        database.execute("CREATE TABLE products (id INTEGER)")
        database.commit()
        database.execute("INSERT INTO products VALUES (1)")
        database.commit()
        assert not holds_records(path, "products")  # only its WAL has the row
    assert holds_records(path, "products")
    assert not holds_records(path, "others")
    assert [one.name for one in tmp_path.iterdir()] == ["products.db"]


def test_it_says_nothing_of_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "products.db"
    path.write_bytes(b"This is no database. " * 100)
    assert not holds_records(path, "products")
