"""Bulk insert of records into SQLite in one transaction."""

import itertools
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType

from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.catalogue_load import StoredValues, dangling_problem
from afterwrite.storage.sqlite.data_folder import open_data_folder
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.tables import dangling

_CACHE_KIB = 32 * 1024
_BUSY_SECONDS = 5
_INDEX_ROWS = 10_000
# Below this, maintaining the secondary indexes row by row is cheaper than rebuilding them.
_LEAST_ROWS_TO_REBUILD = 5_000


class EmbeddedLoader:
    """The catalogue of a data folder; see ``CatalogueLoader``."""

    def __init__(
        self, settings: Settings, resources: Mapping[str, CompiledResource], resource: CompiledResource
    ) -> None:
        """Own the data folder. Raises StoreError."""
        self._path, self._resources, self._resource = settings.products_path, resources, resource
        self._journal = open_data_folder(self._path, settings.journal_path, resources, settings.journal_sync)
        try:
            self._connection = open_for_loading(self._path)
        except BaseException:
            self._journal.close()
            raise

    def holds_records(self) -> bool:
        """Whether there is any record."""
        found = self._connection.execute(f"SELECT EXISTS (SELECT 1 FROM {self._resource.table})")  # noqa: S608
        return bool(found.fetchone()[0])

    def load(self) -> AbstractContextManager["BulkLoad"]:
        """See ``bulk_load``."""
        first_id = _next_id(self._connection, self._journal, self._resource)
        return bulk_load(self._connection, self._resource, first_id, self._resources)

    def index(self) -> int:
        """Bring the search index up to date; return the number of records indexed."""
        import asyncio  # imported here: a start that loads nothing needs neither

        from afterwrite.storage.sqlite.writer import CatalogueWriter

        async def follow() -> int:
            self.holds_records()  # its connection keeps the WAL open from now on
            writer, indexed = CatalogueWriter(self._path, self._resources), 0
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


def _next_id(connection: sqlite3.Connection, journal: Journal, resource: CompiledResource) -> int:
    """The smallest id above those of all records and writes; it stays free while the caller owns ``journal``."""
    stored, settled = connection.execute(
        f"SELECT (SELECT max(id) FROM {resource.table}), "  # noqa: S608 - a declared name
        "(SELECT max(record_id) FROM ledger "
        "WHERE resource = ? AND (operation IN ('CREATE', 'UPSERT') OR status = 'APPLIED'))",
        (resource.name,),
    ).fetchone()
    return max(stored or 0, settled or 0, journal.last_record_ids().get(resource.name, 0)) + 1


class BulkLoad:
    """A running ``bulk_load``; its records become visible when it ends."""

    def __init__(self, connection: sqlite3.Connection, resource: CompiledResource, first_id: int) -> None:
        self.inserted = 0
        self._connection, self._resource = connection, resource
        self._first_id = first_id
        columns = (*resource.columns, "search_text")
        listed, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        self._insert = f"INSERT INTO {resource.table} ({listed}) VALUES ({marks})"  # noqa: S608 - declared names
        self._present: int = connection.execute(f"SELECT count(*) FROM {resource.table}").fetchone()[0]  # noqa: S608
        self.dropped: list[str] = []  # the statements that rebuild the dropped indexes

    def insert(self, records: Sequence[StoredValues]) -> None:
        """Insert records given as ``stored_values``, in order; best about a thousand at a time."""
        if not self.dropped and self.inserted > max(_LEAST_ROWS_TO_REBUILD, self._present // 2):
            self.dropped = _drop_indexes(self._connection, self._resource.table)
        now_us = time.time_ns() // 1_000
        ids = itertools.count(self._first_id + self.inserted)
        rows = zip(ids, records, self._resource.search_texts(records), strict=False)
        self._connection.executemany(
            self._insert, [(one, *values, now_us, now_us, 1, text) for one, values, text in rows]
        )
        self.inserted += len(records)


@contextmanager
def bulk_load(
    connection: sqlite3.Connection,
    resource: CompiledResource,
    first_id: int,
    resources: Mapping[str, CompiledResource] = MappingProxyType({}),
) -> Iterator[BulkLoad]:
    """Insert records with ids from ``first_id``, without ledger rows; all are on disk when the block ends.

    An exception, an interruption or a killed process leaves the catalogue unchanged: the rows and the rebuilt secondary
    indexes are one transaction. Searches scan the new rows until they are indexed. ``resources`` are those that it may
    refer to. Raises StoreError.
    """
    try:
        # A WAL would write each new page twice and grow as large as the load.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        load = BulkLoad(connection, resource, first_id)
        yield load
        for statement in load.dropped:
            connection.execute(statement)
        for one in resource.references:
            condition = dangling(resource.table, one.column, resources[one.target].table)
            counting = f"SELECT count(*), max({one.column}) FROM {resource.table} WHERE {condition}"  # noqa: S608
            rows, such_as = connection.execute(counting).fetchone()
            if rows:
                raise dangling_problem(resource, one, rows, such_as)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _unusable(error) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode = WAL")


def _drop_indexes(connection: sqlite3.Connection, table: str) -> list[str]:
    """Drop the secondary indexes of a table; return the statements that rebuild them."""
    find = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
    indexes = connection.execute(find, (table,)).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    return [statement for _, statement in indexes]


_REMEDIES = {
    sqlite3.SQLITE_CONSTRAINT: "two rows, or a row and a record, have one value of a unique field: change one",
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
