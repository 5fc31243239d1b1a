"""Opens a data folder: locks its journal, migrates the other databases and checks that they belong together."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from afterwrite.base.counts import counted
from afterwrite.base.durable_file import make_folder
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.commits import Commits, TaskDatabase
from afterwrite.storage.sqlite.declared import follow_declarations
from afterwrite.storage.sqlite.engine import open_reader, open_writer
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.sqlite.migrations import can_be_database, catalogue_name, is_missing, migrate
from afterwrite.storage.sqlite.moved import require_not_moved
from afterwrite.storage.sqlite.opened_file import OpenedFile, wal_of


def open_data_folder(
    products_path: Path,
    journal_path: Path,
    resources: Mapping[str, CompiledResource] | None,
    sync: str = "full",
    *,
    moved: bool = False,
    allowed: Collection[str] = (),
) -> Journal:
    """Own the data folder until the returned journal is closed, and migrate both databases.

    The tables of records follow ``resources``, with what is ``allowed``; None leaves them as they are.

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
        _prepare_products(journal, products_path, resources, moved=moved, allowed=allowed)
    except BaseException:
        journal.close()
        raise
    return journal


def open_with_tasks(
    settings: Settings,
    resources: Mapping[str, CompiledResource] | None,
    *,
    moved: bool = False,
    allowed: Collection[str] = (),
) -> Journal:
    """Own the data folder until the returned journal is closed, and migrate all its databases.

    ``resources`` and ``allowed`` as for ``open_data_folder``. ``moved`` opens the folder even if its data was moved to
    PostgreSQL. Raises StoreError; the text says what to do.
    """
    journal = open_data_folder(
        settings.products_path, settings.journal_path, resources, settings.journal_sync, moved=moved, allowed=allowed
    )
    try:
        _prepare_tasks(journal, settings.tasks_path)
    except BaseException:
        journal.close()
        raise
    return journal


def open_task_file(path: Path, sync: str, readers: int) -> TaskDatabase:
    """Open a migrated task database; ``readers`` threads may read at once. Raises StoreError."""
    reader = open_reader(path, readers)
    with reader.connect() as connection:  # keeps the WAL open from now on
        connection.exec_driver_sql("SELECT count(*) FROM meta").scalar()
    return TaskDatabase(reader, Commits(partial(open_writer, OpenedFile(path, wal_of(path)), sync)))


def _prepare_products(
    journal: Journal,
    path: Path,
    resources: Mapping[str, CompiledResource] | None,
    *,
    moved: bool,
    allowed: Collection[str],
) -> None:
    known = journal.remembered("catalogue")
    if known is not None and is_missing(path):
        raise StoreError(
            f"The product database {path} is missing or empty, but its journal is there "
            f"({_waiting(journal)} waiting there): put the file back, or move {journal.path.name} away "
            "too to start with an empty catalogue"
        )
    with _opened(path, partial(_products_unusable, journal, path)) as connection:
        migrate(connection, "products")
        if not moved:
            require_not_moved(connection, path)
        _check_not_older(journal, path, connection)
        if resources is not None:
            follow_declarations(connection, resources, allowed)
        name = catalogue_name(connection)
    bound = journal.remember("catalogue", name)
    if bound != name:
        raise StoreError(
            f"The journal {journal.path} belongs to another catalogue ({bound}) than {path} ({name}): put "
            f"the right files together, or move {journal.path.name} away to give up its "
            f"{counted(journal.backlog().writes, 'waiting write')}"
        )


def _prepare_tasks(journal: Journal, path: Path) -> None:
    """Create or migrate the task database; only the owner of the journal may.

    Raises StoreError, whose text says what to do: the file is damaged, not writable, missing, or does not belong to
    the journal.
    """
    known = journal.remembered("tasks")
    if known is not None and is_missing(path):
        raise StoreError(
            f"The task database {path} is missing or empty, and its tasks with it: put the file back, or move "
            f"{journal.path.name} away too ({_waiting(journal)} waiting there) to go on without them"
        )
    with _opened(path, partial(_tasks_unusable, path)) as connection:
        migrate(connection, "tasks")
        name = str(connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()[0])
    bound = journal.remember("tasks", name)
    if bound != name:
        raise StoreError(
            f"The journal {journal.path} belongs to another task database ({bound}) than {path} ({name}): "
            "put the right files together"
        )


@contextmanager
def _opened(path: Path, unusable: Callable[[str], StoreError]) -> Iterator[sqlite3.Connection]:
    """A connection to the database, in autocommit; ``unusable`` makes an error of the reason why it cannot be used."""
    if not can_be_database(path):
        raise unusable("it is not a database")
    if path.exists() and not os.access(path, os.W_OK):  # SQLite would create read-only -wal and -shm files
        raise unusable("it is read-only")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            yield connection
    except sqlite3.Error as error:
        raise unusable(str(error)) from error


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


def _products_unusable(journal: Journal, path: Path, reason: str) -> StoreError:
    return StoreError(
        f"The product database {path} cannot be opened: {reason}. "
        f"What was accepted is safe in {journal.path.name} ({_waiting(journal)}) and is applied "
        f"after the next start: check the rights and the free space, or put back a backup of the file, without "
        f"the {path.name}-wal and {path.name}-shm next to it"
    )


def _tasks_unusable(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"The task database {path} cannot be opened: {reason}. Check the rights and the free space, or put back a "
        f"backup of the file, without the {path.name}-wal and {path.name}-shm next to it"
    )


def _waiting(journal: Journal) -> str:
    return counted(journal.backlog().writes, "write")
