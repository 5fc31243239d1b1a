"""Inserts many products in one transaction: all of them, or none."""

import itertools
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from database.journal import Journal
from database.schema import migrate_products
from product import search_text

BATCH_ROWS = 1_000
_CACHE_KIB = 64 * 1024
_STORED = ("title", "price_minor", "description", "category", "image", "rating_rate", "rating_count")
_stored_values = itemgetter(*_STORED)
_searched_values = itemgetter("title", "description", "category")
_INSERT = (
    f"INSERT INTO products (id, {', '.join(_STORED)}, created_at_us, updated_at_us, version, search_text) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"
)
# Below this, keeping the secondary indexes row by row costs less than building them again.
_LEAST_ROWS_TO_REBUILD = 5_000


def open_catalogue(path: Path) -> sqlite3.Connection:
    """Open or create the product database at the newest schema, for writing that is on disk at each commit.

    Raises StoreError or sqlite3.Error when it cannot be used. The caller closes it.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        migrate_products(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def holds_products(connection: sqlite3.Connection) -> bool:
    """Whether there is any product."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM products)").fetchone()[0])


def next_product_id(connection: sqlite3.Connection, journal: Journal) -> int:
    """The least id that no product has, had in a settled write, or was promised in a waiting one.

    It stays free while the caller owns ``journal``.
    """
    stored, settled = connection.execute(
        "SELECT (SELECT max(id) FROM products), (SELECT max(product_id) FROM ledger)"
    ).fetchone()
    return max(stored or 0, settled or 0, journal.backlog().last_product_id) + 1


class BulkLoad:
    """The products inserted so far by one ``bulk_load``; they become visible when it ends."""

    def __init__(self, connection: sqlite3.Connection, first_id: int) -> None:
        self.inserted = 0
        self._connection = connection
        self._first_id = first_id
        self._present: int = connection.execute("SELECT count(*) FROM products").fetchone()[0]
        self._dropped: list[str] = []

    def insert(self, products: Sequence[Mapping[str, Any]]) -> None:
        """Insert products given in stored form, as ``product.check_fields`` returns them, in this order.

        Memory follows the length of ``products``: give about BATCH_ROWS at a time.
        """
        if not self._dropped and self.inserted > max(_LEAST_ROWS_TO_REBUILD, self._present // 2):
            self._dropped = _drop_indexes(self._connection)
        now_us = time.time_ns() // 1_000
        rows = zip(
            itertools.count(self._first_id + self.inserted),
            map(_stored_values, products),
            itertools.starmap(search_text, map(_searched_values, products)),
            strict=False,
        )
        self._connection.executemany(
            _INSERT,
            [(product_id, *values, now_us, now_us, found_by) for product_id, values, found_by in rows],
        )
        self.inserted += len(products)

    def finish(self) -> None:
        """Build the indexes that were dropped on the way."""
        for statement in self._dropped:
            self._connection.execute(statement)


@contextmanager
def bulk_load(connection: sqlite3.Connection, first_id: int) -> Iterator[BulkLoad]:
    """Insert products with ids from ``first_id`` on; they are on disk together when the block ends.

    An exception in the block, an interruption or a killed process leaves the catalogue as it was: the rows
    and the rebuilding of the secondary indexes are one transaction. They are not in the ledger, and the
    search index follows later: until then a search scans them.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        load = BulkLoad(connection, first_id)
        yield load
        load.finish()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop the secondary indexes of the products; returns the statements that build them again."""
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'products' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    return [statement for _, statement in indexes]
