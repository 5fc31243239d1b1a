"""The stores of a data folder, owned by one process."""

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing

from sqlalchemy import Engine

from afterwrite.base.limits import WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.ledger import Ledger
from afterwrite.storage.records import database_trouble, records_of
from afterwrite.storage.sqlite.data_folder import open_task_file, open_with_tasks
from afterwrite.storage.sqlite.engine import open_reader
from afterwrite.storage.sqlite.moved import require_not_moved
from afterwrite.storage.sqlite.secret_file import kept_secret
from afterwrite.storage.sqlite.write_store import EmbeddedWrites, last_record_ids_of
from afterwrite.storage.sqlite.writer import CatalogueWriter


class EmbeddedStores:
    """The files of one data folder; see ``Stores``."""

    sharing = None

    def __init__(
        self, settings: Settings, limits: WriteLimits, resources: Mapping[str, CompiledResource] | None
    ) -> None:
        """Own the folder until ``close``. Raises StoreError; the text says what to do."""
        self._settings, self.sync = settings, settings.journal_sync
        self._journal = open_with_tasks(settings, resources)
        self._engine = open_reader(settings.products_path, settings.threads + 2)
        self.records = records_of(self._engine, resources or {})
        self.tasks = open_task_file(settings.tasks_path, settings.journal_sync, settings.threads + 4)
        try:
            ledger = Ledger(self._engine)
            self.read_trouble()  # its connection keeps the WAL open from now on
            last_ids = last_record_ids_of(self._journal, ledger, self.records)
            writer = CatalogueWriter(settings.products_path, resources or {})
            self.writes = EmbeddedWrites(self._journal, ledger, writer, limits, last_ids)
        except BaseException:
            self.close()
            raise

    def secret(self, name: str, made: str, otherwise: str = "") -> str:
        """The secret in the file of this name."""
        return secret_in_folder(self._settings, name, made, otherwise)

    def read_trouble(self) -> str | None:
        """Why records cannot be read now, or None."""
        return database_trouble(self._engine)

    def conflicts(self) -> int:
        """0: only this process writes."""
        return 0

    def close(self) -> None:
        """Release the folder."""
        self.tasks.close()
        self._journal.close()
        self._engine.dispose()


def prepare_embedded(
    settings: Settings, resources: Mapping[str, CompiledResource] | None, allowed: Collection[str] = ()
) -> None:
    """Create or migrate the folder and its files. Raises StoreError."""
    open_with_tasks(settings, resources, allowed=allowed).close()


def open_embedded_for_reading(settings: Settings) -> Engine:
    """A read-only engine. Raises StoreError."""
    path = settings.products_path
    if path.exists():
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
                require_not_moved(connection, path)
        except sqlite3.Error as error:
            raise StoreError(f"The database {path} cannot be read: {error}") from error
    return open_reader(path, threads=2)


def secret_in_folder(settings: Settings, name: str, made: str, otherwise: str = "") -> str:
    """The secret in DATA_DIR. Raises StoreError."""
    return kept_secret(settings.data_dir / name, made, name.replace("-", " "), otherwise)
