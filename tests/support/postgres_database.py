"""Gives a test a database of PostgreSQL; see ``databases.Database``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from databases import LIMITS, OpenTasks, retention_clock_that_knew_old_ones
from declared import RESOURCES

from afterwrite.base.limits import WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.storage.postgres.drain import LOCK
from afterwrite.storage.postgres.stores import PostgresStores
from afterwrite.storage.stores import Stores

CONNECTIONS = 4  # of one process; many tests run at a time on one server


class PostgresDatabase:
    """A database of PostgreSQL; see ``Database``."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.url = folder, url

    @property
    def environment(self) -> dict[str, str]:
        """Its address."""
        return {"DATABASE_URL": self.url, "DATABASE_CONNECTIONS": str(CONNECTIONS)}

    def seen_from(self, folder: Path) -> "PostgresDatabase":
        """The same one."""
        return PostgresDatabase(folder, self.url)

    def settings(self, **given: Any) -> Settings:
        """Those of one of many processes."""
        address = {"database_url": self.url, "database_connections": CONNECTIONS}
        return Settings(**{"data_dir": self.folder, **address, **given})

    def open_tasks(self) -> OpenTasks:
        """Open it as a server does."""
        stores = PostgresStores(self.settings(), LIMITS, RESOURCES, "server")
        return OpenTasks(stores.tasks, stores.sharing, stores.name)

    def open_stores(self, limits: WriteLimits) -> Stores:
        """Open it as a server does."""
        return PostgresStores(self.settings(), limits, RESOURCES, "server")

    def age_keys(self, seconds: int) -> None:
        """Move the time of their use back."""
        self.rows("UPDATE idempotency_keys SET used_at_us = used_at_us - ?", seconds * 1_000_000)
        seen = retention_clock_that_knew_old_ones()
        self.rows("UPDATE meta SET value = ? WHERE name = 'retention_clock_of_keys'", seen)

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run it in the schema of the program."""
        with self._connection() as connection:
            cursor = connection.execute(statement.replace("?", "%s").encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def journal(self) -> list[Any]:
        """Read the table."""
        return self.rows("SELECT id, arguments FROM writes ORDER BY id")

    def check_integrity(self) -> None:
        """Nothing to be done."""

    def check_mode(self) -> None:
        """Nothing to be done."""

    def indexes(self) -> list[Any]:
        """Those of the schema of the program."""
        return self.rows(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'afterwrite' ORDER BY indexname"
        )

    @contextmanager
    def no_drain(self) -> Iterator[None]:
        """Hold the lock that every transaction of a drain takes."""
        with self._connection() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            yield

    @contextmanager
    def held(self, *statements: str) -> Iterator[None]:
        """Lock the table."""
        with self._connection() as connection, connection.transaction():
            connection.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
            for statement in statements:
                connection.execute(statement.encode())
            yield

    def has_waiting(self) -> bool:
        """Whether a session of this database waits for a lock."""
        [(waiting,)] = self.rows(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(waiting)

    @contextmanager
    def refusing(self, table: str, condition: str) -> Iterator[None]:
        """Refuse it with a constraint."""
        self.rows(f"ALTER TABLE {table} ADD CONSTRAINT picky CHECK (NOT coalesce({condition}, false)) NOT VALID")
        yield
        self.rows(f"ALTER TABLE {table} DROP CONSTRAINT picky")

    def is_by_index(self, statement: str) -> bool:
        """Ask for the plan when nothing else than an index would do; a small table is read as a whole otherwise."""
        with self._connection() as connection:
            connection.execute("SET enable_seqscan = off")
            connection.execute("SET enable_sort = off")
            plan = str(connection.execute(f"EXPLAIN {statement}".encode()).fetchall())
        return "Index" in plan and "Sort" not in plan and "Seq Scan" not in plan

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        plain = self.url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(plain, autocommit=True, options="-c search_path=afterwrite") as connection:
            yield connection
