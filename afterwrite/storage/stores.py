"""Opens all data of an installation: the files of a data folder, or PostgreSQL with DATABASE_URL."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, TypeAlias

from afterwrite.base.limits import WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.resources.compiled import CompiledResource

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from afterwrite.storage.postgres.stores import PostgresStores
    from afterwrite.storage.sqlite.stores import EmbeddedStores


Stores: TypeAlias = "EmbeddedStores | PostgresStores"
"""All data of an installation, opened by one process. ``sharing`` is the link to other processes on the same database,
None for a data folder. ``sync`` is ``full`` if acknowledged writes survive a power cut, ``normal`` if only a killed
process. ``secret`` returns the secret of a name; ``made`` is stored if there is none yet. Everything raises StoreError.
"""


def prepare_stores(
    settings: Settings, resources: Mapping[str, CompiledResource] | None, allowed: Collection[str] = ()
) -> None:
    """Migrate everything to the newest schema, and the tables of records to the declarations of ``resources``.

    None leaves these tables as they are; ``allowed`` are changes that may lose data. Raises StoreError or
    SettingsError; the text says what to do.
    """
    if settings.database_url:
        from afterwrite.storage.postgres.stores import prepare_postgres

        prepare_postgres(settings, resources, allowed)
    else:
        from afterwrite.storage.sqlite.stores import prepare_embedded

        prepare_embedded(settings, resources, allowed)


def open_stores(
    settings: Settings, limits: WriteLimits, resources: Mapping[str, CompiledResource] | None, role: str = "server"
) -> Stores:
    """Open and migrate everything; ``role`` is shown to other processes. Raises StoreError or SettingsError.

    ``resources`` are None in a process that reads and applies no records.
    """
    if settings.database_url:
        from afterwrite.storage.postgres.stores import PostgresStores

        return PostgresStores(settings, limits, resources, role)
    from afterwrite.storage.sqlite.stores import EmbeddedStores

    return EmbeddedStores(settings, limits, resources)


def open_for_reading(settings: Settings) -> "Engine":
    """A read-only engine on the records, even while a server has them open."""
    if settings.database_url:
        from afterwrite.storage.postgres.stores import open_postgres_for_reading

        return open_postgres_for_reading(settings)
    from afterwrite.storage.sqlite.stores import open_embedded_for_reading

    return open_embedded_for_reading(settings)
