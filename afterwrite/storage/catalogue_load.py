"""Opens a catalogue for a bulk load: the files of a data folder, or PostgreSQL."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from afterwrite.base.settings import Settings
from afterwrite.storage.product_rows import StoredValues
from afterwrite.storage.sqlite.bulk import EmbeddedLoader


class Load(Protocol):
    """A running load; its products become visible together when it ends."""

    inserted: int

    def insert(self, products: Sequence[StoredValues]) -> None:
        """Insert products given as ``stored_values``, in order; best about a thousand at a time."""


class CatalogueLoader(Protocol):
    """A catalogue opened for loading. Raises StoreError if it cannot be used."""

    def holds_products(self) -> bool:
        """Whether there is any product."""

    def load(self) -> AbstractContextManager[Load]:
        """Insert products with new ids, without ledger rows; all are on disk when the block ends.

        An exception, an interruption or a killed process leaves the catalogue unchanged.
        """

    def index(self) -> int | None:
        """Update the search index; return the number of products, None if the database does it by itself."""

    def close(self) -> None:
        """Release the catalogue."""


def open_loader(settings: Settings) -> CatalogueLoader:
    """Open the catalogue and migrate it. Raises StoreError or SettingsError.

    A data folder is owned until ``close``, so no server may run; PostgreSQL may be in use.
    """
    if settings.database_url:
        # Imported here, because its packages need not be installed.
        from afterwrite.storage.postgres.bulk import PostgresLoader

        return PostgresLoader(settings)
    return EmbeddedLoader(settings)
