"""Opens a catalogue for a bulk load: the files of a data folder, or PostgreSQL."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.reference_field import Reference

if TYPE_CHECKING:
    from afterwrite.storage.postgres.bulk import PostgresLoad, PostgresLoader
    from afterwrite.storage.sqlite.bulk import BulkLoad, EmbeddedLoader

StoredValues = tuple[Any, ...]
"""The stored values of a new record, as ``CompiledResource.stored_values`` takes them."""

CatalogueLoader: TypeAlias = "EmbeddedLoader | PostgresLoader"
"""A catalogue opened for loading one resource. ``load`` inserts records with new ids, without ledger rows; they become
visible together and are on disk when its block ends. An exception, an interruption or a killed process leaves the
catalogue unchanged. ``index`` updates the search index and returns the number of records, None if the database does it
itself.
"""
Load: TypeAlias = "BulkLoad | PostgresLoad"


def dangling_problem(resource: CompiledResource, reference: Reference, rows: int, such_as: int) -> StoreError:
    """The error for a load with rows whose reference is to no record."""
    what = f"{counted(rows, 'row')} with {reference.name} such as {such_as}, and there is no such {reference.target}"
    return StoreError(f"Nothing was loaded: {what}. Load what they refer to first, or correct them")


def open_loader(
    settings: Settings, resources: Mapping[str, CompiledResource], resource: CompiledResource
) -> CatalogueLoader:
    """Open the catalogue of these resources to load one of them, and migrate it. Raises StoreError or SettingsError.

    A data folder is owned until ``close``, so no server may run; PostgreSQL may be in use.
    """
    if settings.database_url:
        # Imported here, because its packages need not be installed.
        from afterwrite.storage.postgres.bulk import PostgresLoader

        return PostgresLoader(settings, resources, resource)
    from afterwrite.storage.sqlite.bulk import EmbeddedLoader

    return EmbeddedLoader(settings, resources, resource)
