"""Opens a catalogue for a bulk load: the files of a data folder, or PostgreSQL."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from afterwrite.base.settings import Settings
from afterwrite.storage.product_rows import StoredValues
from afterwrite.storage.sqlite.bulk import EmbeddedLoader


class Load(Protocol):
    """The products inserted so far by one load; they become visible together when it ends."""

    inserted: int

    def insert(self, products: Sequence[StoredValues]) -> None:
        """Insert products given as ``stored_values``, in this order; best about a thousand at a time."""


class CatalogueLoader(Protocol):
    """A catalogue that is open to be loaded into. Raises StoreError where it cannot be used."""

    def holds_products(self) -> bool:
        """Whether there is any product."""

    def load(self) -> AbstractContextManager[Load]:
        """Insert products with new ids; they are on disk together when the block ends.

        An exception in the block, an interruption or a killed process leaves the catalogue as it was. They are not in
        the ledger.
        """

    def index(self) -> int | None:
        """Let the search index follow; returns by how many products, None where it does by itself."""

    def close(self) -> None:
        """Let go of the catalogue."""


def open_loader(settings: Settings) -> CatalogueLoader:
    """Open the catalogue, brought to the newest schema. Raises StoreError or SettingsError.

    Files of a data folder are owned until ``close``: no server runs meanwhile. PostgreSQL may be in use.
    """
    if settings.database_url:
        from afterwrite.storage.postgres.bulk import (
            PostgresLoader,
        )  # here: its packages need not be installed

        return PostgresLoader(settings)
    return EmbeddedLoader(settings)
