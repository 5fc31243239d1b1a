"""Opens what a process keeps its data in: the files of a data folder, or PostgreSQL where DATABASE_URL says so."""

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Engine

from afterwrite.base.limits import WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.storage.products import Products
from afterwrite.storage.task_database import TaskDatabase
from afterwrite.storage.write_store import WriteStore

if TYPE_CHECKING:
    from afterwrite.storage.postgres.sharing import Sharing


class Stores(Protocol):
    """All data of an installation, as one process has it open."""

    products: Products
    tasks: TaskDatabase
    sync: str
    """``full``: what is answered survives a power cut; ``normal``: it survives a killed process."""

    @property
    def writes(self) -> WriteStore:
        """Journal and ledger."""

    @property
    def sharing(self) -> "Sharing | None":
        """What this process has to do with others; None where there are none."""

    def secret(self, name: str, made: str, otherwise: str = "") -> str:
        """The secret of this name; ``made`` becomes it if there is none yet. Raises StoreError."""

    def conflicts(self) -> int:
        """How many transactions were done again because another one was in the way."""

    def close(self) -> None:
        """Let go of everything."""


def prepare_stores(settings: Settings) -> None:
    """Bring everything to the newest schema. Raises StoreError or SettingsError with one line that says what to do."""
    if settings.database_url:
        from afterwrite.storage.postgres.stores import prepare_postgres

        prepare_postgres(settings)
    else:
        from afterwrite.storage.sqlite.stores import prepare_embedded

        prepare_embedded(settings)


def open_stores(settings: Settings, limits: WriteLimits, role: str = "server") -> Stores:
    """Open everything, brought to the newest schema. Raises StoreError or SettingsError.

    ``role`` is what this process is for, as others are told; with files of its own it is alone.
    """
    if settings.database_url:
        from afterwrite.storage.postgres.stores import PostgresStores

        return PostgresStores(settings, limits, role)
    from afterwrite.storage.sqlite.stores import EmbeddedStores

    return EmbeddedStores(settings, limits)


def open_for_reading(settings: Settings) -> tuple[Products, Engine]:
    """The products and what reads them, beside a server that has them open; nothing is changed."""
    if settings.database_url:
        from afterwrite.storage.postgres.stores import open_postgres_for_reading

        engine = open_postgres_for_reading(settings)
    else:
        from afterwrite.storage.sqlite.stores import open_embedded_for_reading

        engine = open_embedded_for_reading(settings)
    return Products(engine), engine


def secret_of(settings: Settings, name: str, made: str, otherwise: str = "") -> str:
    """A secret, as ``Stores`` keeps it, for who has not opened them. Raises StoreError."""
    if settings.database_url:
        from afterwrite.storage.postgres.stores import secret_in_postgres

        return secret_in_postgres(settings, name, made)
    from afterwrite.storage.sqlite.stores import secret_in_folder

    return secret_in_folder(settings, name, made, otherwise)
