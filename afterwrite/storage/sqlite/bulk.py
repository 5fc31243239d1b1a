"""Bulk insert of products into SQLite in one transaction."""

import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.product import search_text
from afterwrite.storage.catalogue_load import STORED, StoredValues
from afterwrite.storage.sqlite.data_folder import open_data_folder
from afterwrite.storage.sqlite.journal import Journal

_CACHE_KIB = 32 * 1024
_BUSY_SECONDS = 5
_INDEX_ROWS = 10_000
_INSERT = (
    f"INSERT INTO products (id, {', '.join(STORED)}, created_at_us, updated_at_us, version, search_text) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"
)
# Below this, maintaining the secondary indexes row by row is cheaper than rebuilding them.
_LEAST_ROWS_TO_REBUILD = 5_000


class EmbeddedLoader:
    """The catalogue of a data folder; see ``CatalogueLoader``."""

    def __init__(self, settings: Settings) -> None:
        """Own the data folder. Raises StoreError."""
        self._path = settings.products_path
        self._journal = open_data_folder(self._path, settings.journal_path, settings.journal_sync)
        try:
            self._connection = open_for_loading(self._path)
        except BaseException:
            self._journal.close()
            raise

    def holds_products(self) -> bool:
        """Whether there is any product."""
        return bool(self._connection.execute("SELECT EXISTS (SELECT 1 FROM products)").fetchone()[0])

    def load(self) -> AbstractContextManager["BulkLoad"]:
        """See ``bulk_load``."""
        return bulk_load(self._connection, _next_product_id(self._connection, self._journal))

    def index(self) -> int:
        """Bring the search index up to date; return the number of products indexed."""
        import asyncio  # imported here: a start that loads nothing needs neither

        from afterwrite.storage.sqlite.writer import CatalogueWriter

        async def follow() -> int:
            self.holds_products()  # its connection keeps the WAL open from now on
            writer, indexed = CatalogueWriter(self._path), 0
            try:
                while more := await writer.index_some(_INDEX_ROWS):
                    indexed += more
            finally:
                await writer.close()
            return indexed

        return asyncio.run(follow())

    def close(self) -> None:
        """Release the data folder."""
        self._connection.close()
        self._journal.close()


def open_for_loading(path: Path) -> sqlite3.Connection:
    """A connection to an existing product database, with durable commits. Raises StoreError."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except sqlite3.Error as error:
        raise _unusable(error, path) from error
    return connection


def _next_product_id(connection: sqlite3.Connection, journal: Journal) -> int:
    """The smallest id above those of all products and writes; it stays free while the caller owns ``journal``."""
    stored, settled = connection.execute(
        "SELECT (SELECT max(id) FROM products), "
        "(SELECT max(product_id) FROM ledger WHERE operation = 'CREATE' OR status = 'APPLIED')"
    ).fetchone()
    return max(stored or 0, settled or 0, journal.backlog().last_product_id) + 1


class BulkLoad:
    """A running ``bulk_load``; its products become visible when it ends."""

    def __init__(self, connection: sqlite3.Connection, first_id: int) -> None:
        self.inserted = 0
        self._connection = connection
        self._first_id = first_id
        self._present: int = connection.execute("SELECT count(*) FROM products").fetchone()[0]
        self.dropped: list[str] = []  # the statements that rebuild the dropped indexes

    def insert(self, products: Sequence[StoredValues]) -> None:
        """Insert products given as ``stored_values``, in order; best about a thousand at a time."""
        if not self.dropped and self.inserted > max(_LEAST_ROWS_TO_REBUILD, self._present // 2):
            self.dropped = _drop_indexes(self._connection)
        now_us = time.time_ns() // 1_000
        ids = itertools.count(self._first_id + self.inserted)
        self._connection.executemany(
            _INSERT,
            [
                (product_id, *values, now_us, now_us, search_text(values[0], values[2], values[3]))
                for product_id, values in zip(ids, products, strict=False)
            ],
        )
        self.inserted += len(products)


@contextmanager
def bulk_load(connection: sqlite3.Connection, first_id: int) -> Iterator[BulkLoad]:
    """Insert products with ids from ``first_id``, without ledger rows; all are on disk when the block ends.

    An exception, an interruption or a killed process leaves the catalogue unchanged: the rows and the rebuilt secondary
    indexes are one transaction. Searches scan the new rows until they are indexed. Raises StoreError.
    """
    try:
        # A WAL would write each new page twice and grow as large as the load.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        load = BulkLoad(connection, first_id)
        yield load
        for statement in load.dropped:
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _unusable(error) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode = WAL")


def _drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop the secondary indexes of the products; return the statements that rebuild them."""
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'products' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    return [statement for _, statement in indexes]


_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another program holds it: stop that one and try again",
    sqlite3.SQLITE_FULL: "free space on its disk and try again",
    sqlite3.SQLITE_READONLY: "check the rights of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "check the rights of the file and its folder",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite file: move it away or use another DATA_DIR",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup",
}


def _unusable(error: sqlite3.Error, path: Path | str = "") -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    remedy = _REMEDIES.get(code, "check the disk")
    return StoreError(f"The product database {path}{' ' if path else ''}cannot be written: {error}: {remedy}")
