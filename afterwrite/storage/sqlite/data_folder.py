"""Opens a data folder: locks its journal, migrates both databases and checks that they belong together."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from afterwrite.base.counts import counted
from afterwrite.base.durable_file import make_folder
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.sqlite.migrations import can_be_database, catalogue_name, is_missing, migrate_products
from afterwrite.storage.sqlite.moved import require_not_moved


def open_data_folder(products_path: Path, journal_path: Path, sync: str = "full", *, moved: bool = False) -> Journal:
    """Own the data folder until the returned journal is closed, and migrate both databases.

    Raises StoreError, whose one line says what to do: another process owns the folder, a file is damaged or not
    writable, the product database is missing or does not belong to the journal, or the data was moved to PostgreSQL.
    ``moved`` opens it even then.
    """
    try:
        make_folder(journal_path.parent)
    except OSError as error:
        raise StoreError(
            f"The data folder {journal_path.parent} cannot be made: {error.strerror}. Set DATA_DIR to another one"
        ) from error
    journal = Journal.open(journal_path, sync)
    try:
        _check_belongs(journal, products_path, _prepare_products(journal, products_path, moved=moved))
    except BaseException:
        journal.close()
        raise
    return journal


def _prepare_products(journal: Journal, path: Path, *, moved: bool) -> str:
    known = journal.remembered("catalogue")
    if known is not None and is_missing(path):
        raise StoreError(
            f"The product database {path} is missing or empty, but its journal is there "
            f"({_waiting(journal)} waiting there): put the file back, or move {journal.path.name} away "
            "too to start with an empty catalogue"
        )
    if not can_be_database(path):
        raise _cannot_be_opened(journal, path, "it is not a database")
    if path.exists() and not os.access(path, os.W_OK):  # SQLite would create read-only -wal and -shm files
        raise _cannot_be_opened(journal, path, "it is read-only")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            migrate_products(connection)
            if not moved:
                require_not_moved(connection, path)
            _check_not_older(journal, path, connection)
            return catalogue_name(connection)
    except sqlite3.Error as error:
        raise _cannot_be_opened(journal, path, str(error)) from error


def _check_not_older(journal: Journal, path: Path, connection: sqlite3.Connection) -> None:
    """Every write that the journal dropped must be in the ledger, or applied writes would be lost silently."""
    forgotten = journal.forgotten_through()
    settled = connection.execute("SELECT max(id) FROM ledger").fetchone()[0] or 0
    if settled < forgotten:
        raise StoreError(
            f"The product database {path} is older than its journal: its last write is {settled}, and "
            f"writes up to {forgotten} were applied. Put the newer file back, or move {journal.path.name} away to go "
            f"on from the older one without those and without what waits ({_waiting(journal)})"
        )


def _cannot_be_opened(journal: Journal, path: Path, reason: str) -> StoreError:
    return StoreError(
        f"The product database {path} cannot be opened: {reason}. "
        f"What was accepted is safe in {journal.path.name} ({_waiting(journal)}) and is applied "
        f"after the next start: check the rights and the free space, or put back a backup of the file, without "
        f"the {path.name}-wal and {path.name}-shm next to it"
    )


def _check_belongs(journal: Journal, path: Path, name: str) -> None:
    bound = journal.remember("catalogue", name)
    if bound != name:
        raise StoreError(
            f"The journal {journal.path} belongs to another catalogue ({bound}) than {path} ({name}): put "
            f"the right files together, or move {journal.path.name} away to give up its "
            f"{counted(journal.backlog().writes, 'waiting write')}"
        )


def _waiting(journal: Journal) -> str:
    return counted(journal.backlog().writes, "write")
