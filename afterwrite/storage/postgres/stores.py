"""The stores of a PostgreSQL database, shared by any number of processes."""

import logging
from collections.abc import Collection, Mapping
from functools import partial

from sqlalchemy import Engine

from afterwrite.base.limits import WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.commits import Commits, TaskDatabase
from afterwrite.storage.postgres.address import address_of, direct_address_of
from afterwrite.storage.postgres.bus import PostgresBus
from afterwrite.storage.postgres.connect import connect, connect_async, is_pooled, open_reader, open_writer
from afterwrite.storage.postgres.copying import require_no_copy
from afterwrite.storage.postgres.drain import Drain
from afterwrite.storage.postgres.migrations import bring_up_to_date
from afterwrite.storage.postgres.sharing import Sharing
from afterwrite.storage.postgres.write_store import PostgresWrites
from afterwrite.storage.processes import new_name
from afterwrite.storage.records import database_trouble, records_of

_log = logging.getLogger("afterwrite.database")
_KEEP = "INSERT INTO afterwrite.secrets (name, value) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_KEPT = "SELECT value FROM afterwrite.secrets WHERE name = %s"


class PostgresStores:
    """All data of one database; see ``Stores``."""

    def __init__(
        self, settings: Settings, limits: WriteLimits, resources: Mapping[str, CompiledResource] | None, role: str
    ) -> None:
        """Raises StoreError or SettingsError; the text says what to do."""
        prepare_postgres(settings, resources)
        self._settings, address = settings, address_of(settings)
        with connect(address, prepared=False) as connection:
            pooled = is_pooled(connection)
            [sync] = connection.execute("SHOW synchronous_commit").fetchone() or ("on",)
        self.sync = "normal" if sync == "off" else "full"
        if self.sync == "normal":
            _log.warning("synchronous_commit is off at %s: a power cut may lose acknowledged writes", address)
        if pooled:
            _log.info("using no prepared statements: %s is behind a pooler", address)
        prepared = not pooled
        self.name = new_name()
        self._reader = open_reader(address, settings.database_connections, prepared=prepared)
        write = partial(open_writer, address, prepared=prepared)
        self.records = records_of(self._reader, resources or {})
        self.drain = Drain(self.name, partial(connect_async, address, prepared=prepared), resources or {})
        self.tasks = TaskDatabase(self._reader, Commits(write))
        bus = PostgresBus(direct_address_of(settings), self._reader)
        self.sharing = Sharing(bus, self._reader, self.tasks.commits.clock, self.name, role)
        others_live = partial(self.sharing.others_live, "server")
        try:
            self.writes = PostgresWrites(self._reader, write, self.drain, limits, others_live)
        except BaseException:
            self._reader.dispose()
            raise

    def secret(self, name: str, made: str, otherwise: str = "") -> str:
        """The secret of this name, shared by all processes."""
        return secret_in_postgres(self._settings, name, made)

    def read_trouble(self) -> str | None:
        """Why records cannot be read now, or None."""
        return database_trouble(self._reader)

    def conflicts(self) -> int:
        """The number of transactions retried after a conflict."""
        return self.drain.conflicts + self.tasks.commits.conflicts

    def close(self) -> None:
        """Close every connection."""
        self.writes.close()
        self.tasks.close()
        self._reader.dispose()


def prepare_postgres(
    settings: Settings, resources: Mapping[str, CompiledResource] | None, allowed: Collection[str] = ()
) -> None:
    """Migrate the database; safe in several processes at once.

    Raises StoreError, also where a copy of an embedded installation into it is under way or was left incomplete.
    """
    address = direct_address_of(settings)
    with connect(address, prepared=False) as connection:
        require_no_copy(connection, address)
        bring_up_to_date(connection, address, resources, allowed)


def open_postgres_for_reading(settings: Settings) -> Engine:
    """A read-only engine. Raises StoreError."""
    prepare_postgres(settings, None)
    return open_reader(address_of(settings), 2, prepared=False, writes=False)


def secret_in_postgres(settings: Settings, name: str, made: str) -> str:
    """The secret of this name, shared by all processes. Raises StoreError."""
    with connect(address_of(settings), prepared=False) as connection:
        connection.execute(_KEEP, (name, made))
        row = connection.execute(_KEPT, (name,)).fetchone()
    assert row is not None
    return str(row[0])
