"""Opens a catalogue for a bulk load: the files of a data folder, or PostgreSQL."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from afterwrite.base.settings import Settings

if TYPE_CHECKING:
    from afterwrite.storage.postgres.bulk import PostgresLoad, PostgresLoader
    from afterwrite.storage.sqlite.bulk import BulkLoad, EmbeddedLoader

STORED = ("title", "price_minor", "description", "category", "image", "rating_rate", "rating_count")
StoredValues = tuple[Any, ...]
# Takes them from the stored form of a new product, as ``product.check_fields`` gives it.
stored_values: Callable[[Mapping[str, Any]], StoredValues] = itemgetter(*STORED)

CatalogueLoader: TypeAlias = "EmbeddedLoader | PostgresLoader"
"""A catalogue opened for loading. ``load`` inserts products with new ids, without ledger rows; they become visible
together and are on disk when its block ends. An exception, an interruption or a killed process leaves the catalogue
unchanged. ``index`` updates the search index and returns the number of products, None if the database does it itself.
"""
Load: TypeAlias = "BulkLoad | PostgresLoad"


def open_loader(settings: Settings) -> CatalogueLoader:
    """Open the catalogue and migrate it. Raises StoreError or SettingsError.

    A data folder is owned until ``close``, so no server may run; PostgreSQL may be in use.
    """
    if settings.database_url:
        # Imported here, because its packages need not be installed.
        from afterwrite.storage.postgres.bulk import PostgresLoader

        return PostgresLoader(settings)
    from afterwrite.storage.sqlite.bulk import EmbeddedLoader

    return EmbeddedLoader(settings)
