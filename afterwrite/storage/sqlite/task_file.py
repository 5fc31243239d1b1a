"""Opens the task database of a data folder: migrates it and checks that it belongs to the journal."""

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.storage.commits import Commits
from afterwrite.storage.sqlite.data_folder import open_data_folder
from afterwrite.storage.sqlite.engine import open_reader, open_writer
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.sqlite.migrations import can_be_database, is_missing, migrate_tasks
from afterwrite.storage.sqlite.opened_file import OpenedFile, wal_of
from afterwrite.storage.task_database import TaskDatabase


def open_task_file(path: Path, sync: str, readers: int) -> TaskDatabase:
    """Open a migrated task database; ``readers`` threads may read at once. Raises StoreError."""
    reader = open_reader(path, readers)
    with reader.connect() as connection:  # keeps the WAL open from now on
        connection.exec_driver_sql("SELECT count(*) FROM meta").scalar()
    return TaskDatabase(reader, Commits(partial(open_writer, OpenedFile(path, wal_of(path)), sync)))


def open_with_tasks(settings: Settings, *, moved: bool = False) -> Journal:
    """Own the data folder until the returned journal is closed, and migrate all its databases.

    ``moved`` opens the folder even if its data was moved to PostgreSQL. Raises StoreError; the text says what to do.
    """
    journal = open_data_folder(settings.products_path, settings.journal_path, settings.journal_sync, moved=moved)
    try:
        prepare_task_database(journal, settings.tasks_path)
    except BaseException:
        journal.close()
        raise
    return journal


def prepare_task_database(journal: Journal, path: Path) -> None:
    """Create or migrate the task database; only the owner of the journal may.

    Raises StoreError, whose text says what to do: the file is damaged, not writable, missing, or does not belong to
    the journal.
    """
    known = journal.remembered("tasks")
    if known is not None and is_missing(path):
        raise StoreError(
            f"The task database {path} is missing or empty, and its tasks with it: put the file back, or move "
            f"{journal.path.name} away too ({counted(journal.backlog().writes, 'write')} waiting there) to go on "
            "without them"
        )
    if not can_be_database(path):
        raise _cannot_be_opened(path, "it is not a database")
    if path.exists() and not os.access(path, os.W_OK):  # SQLite would create read-only -wal and -shm files
        raise _cannot_be_opened(path, "it is read-only")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            migrate_tasks(connection)
            name = str(connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()[0])
    except sqlite3.Error as error:
        raise _cannot_be_opened(path, str(error)) from error
    bound = journal.remember("tasks", name)
    if bound != name:
        raise StoreError(
            f"The journal {journal.path} belongs to another task database ({bound}) than {path} ({name}): "
            "put the right files together"
        )


def _cannot_be_opened(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"The task database {path} cannot be opened: {reason}. Check the rights and the free space, or put back a "
        f"backup of the file, without the {path.name}-wal and {path.name}-shm next to it"
    )
