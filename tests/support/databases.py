"""Gives a test its database: the files of a folder, or a database of PostgreSQL. The test need not know which."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from declared import RESOURCES
from other_process import write_lock

from afterwrite.base.limits import WriteLimits
from afterwrite.base.settings import Settings
from afterwrite.base.time_ordered import first_id_of
from afterwrite.resources.registry import Resources
from afterwrite.storage.commits import TaskDatabase
from afterwrite.storage.ledger import Ledger
from afterwrite.storage.processes import new_name
from afterwrite.storage.records import records_of
from afterwrite.storage.sqlite.data_folder import open_data_folder, open_task_file
from afterwrite.storage.sqlite.engine import open_reader
from afterwrite.storage.sqlite.migrations import migrate
from afterwrite.storage.sqlite.stores import EmbeddedStores
from afterwrite.storage.sqlite.write_store import EmbeddedWrites, last_record_ids_of
from afterwrite.storage.sqlite.writer import CatalogueWriter
from afterwrite.storage.stores import Stores

if TYPE_CHECKING:
    from afterwrite.storage.postgres.sharing import Sharing

WAIT_SECONDS = 30.0
LIMITS = WriteLimits(
    max_writes=10_000,
    max_bytes=1 << 26,
    batch_size=50,
    max_waiters=16,
    stop_seconds=WAIT_SECONDS,
    idempotency_seconds=3600,
)


class OpenTasks(NamedTuple):
    """A database of tasks as one process has it open; ``sharing`` is what it has to do with others."""

    tasks: TaskDatabase
    sharing: "Sharing | None"
    name: str


class Database(Protocol):
    """A database of one test, empty at first. What opens it more than once stands for as many processes."""

    @property
    def folder(self) -> Path:
        """The DATA_DIR of who uses it."""

    @property
    def environment(self) -> dict[str, str]:
        """What tells a program of it, beside its DATA_DIR."""

    def seen_from(self, folder: Path) -> "Database":
        """The database of who has another DATA_DIR: of SQLite it is another one."""

    def settings(self, **given: Any) -> Settings:
        """The settings of a process on it."""

    def open_tasks(self) -> OpenTasks:
        """Open its tasks."""

    def open_stores(self, limits: WriteLimits) -> Stores:
        """Open everything."""

    def age_keys(self, seconds: int) -> None:
        """Let every idempotency key of a write be older by so much; while nobody has the database open."""

    def rows(self, statement: str, *values: object) -> list[Any]:
        """What a statement finds or changes in products, ledger or tasks, with ``?`` for each value."""

    def journal(self) -> list[Any]:
        """The id and the arguments of every write that waits, the oldest first; while no server has a file open."""

    def check_integrity(self) -> None:
        """Let a file of SQLite check itself; PostgreSQL has no such thing."""

    def check_mode(self) -> None:
        """A file of SQLite is in the mode in which a server uses it; PostgreSQL has no such thing."""

    def indexes(self) -> list[Any]:
        """The names and definitions of all indexes of the products."""

    def no_drain(self) -> AbstractContextManager[None]:
        """Nobody can apply a write inside."""

    def held(self, *statements: str) -> AbstractContextManager[None]:
        """Nobody else can write a task inside; ``statements`` are done at its end."""

    def has_waiting(self) -> bool:
        """Whether somebody waits for what another one holds; who is refused at once never does."""

    def refusing(self, table: str, condition: str) -> AbstractContextManager[None]:
        """The database takes no change inside that makes a row of which the condition is true."""

    def is_by_index(self, statement: str) -> bool:
        """Whether a statement can read the rows that it wants from an index, in the order in which it wants them."""


class OpenFiles(EmbeddedStores):
    """The files of a folder in reach of the test; the journal knows of no task database, so that it may come alone."""

    def __init__(self, folder: Path, limits: WriteLimits, resources: Resources) -> None:
        path = folder / "products.db"
        self.journal = self._journal = open_data_folder(path, folder / "journal.db", resources)
        self.engine = self._engine = open_reader(path, 8)
        try:
            self.records = records_of(self.engine, resources)
            ledger = Ledger(self.engine)
            last_ids = last_record_ids_of(self.journal, ledger, self.records)
            self.writer = CatalogueWriter(path, resources)
            self.writes = EmbeddedWrites(self.journal, ledger, self.writer, limits, last_ids)
        except BaseException:
            self.engine.dispose()
            self.journal.close()
            raise
        make_task_database(folder / "tasks.db")
        self.tasks = open_task_file(folder / "tasks.db", "full", 4)


class EmbeddedDatabase:
    """The files of one folder; see ``Database``."""

    environment: dict[str, str] = {}

    def __init__(self, folder: Path, resources: Resources = RESOURCES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.resources = folder, resources

    def seen_from(self, folder: Path) -> "EmbeddedDatabase":
        """The files of that folder."""
        return EmbeddedDatabase(folder)

    def settings(self, **given: Any) -> Settings:
        """Those of a process that has the folder."""
        return Settings(data_dir=self.folder, **given)

    def open_tasks(self) -> OpenTasks:
        """Open the tasks without the journal, which only one process could do."""
        path = self.folder / "tasks.db"
        make_task_database(path)
        return OpenTasks(open_task_file(path, "full", 8), None, new_name())

    def open_stores(self, limits: WriteLimits) -> "OpenFiles":
        """Own the folder."""
        return OpenFiles(self.folder, limits, self.resources)

    def age_keys(self, seconds: int) -> None:
        """Move their first writes back: the id of a write is a time."""
        with closing(sqlite3.connect(self.folder / "journal.db")) as connection, connection:
            passed = first_id_of(seconds * 1_000_000) - first_id_of(0)
            connection.execute("UPDATE idempotency_keys SET first_write_id = first_write_id - ?", (passed,))
            seen = retention_clock_that_knew_old_ones()
            connection.execute("UPDATE meta SET value = ? WHERE name = 'retention_clock_of_keys'", (seen,))

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run it on products and tasks together."""
        with closing(sqlite3.connect(":memory:")) as connection:
            for name in ("products", "tasks"):
                if (path := self.folder / f"{name}.db").exists():
                    connection.execute(f"ATTACH ? AS {name}_file", (str(path),))
            with connection:
                return connection.execute(statement, values).fetchall()

    def journal(self) -> list[Any]:
        """Read the file."""
        with closing(sqlite3.connect(self.folder / "journal.db")) as connection:
            return connection.execute("SELECT id, arguments FROM writes ORDER BY id").fetchall()

    def check_integrity(self) -> None:
        """Check the products."""
        with closing(sqlite3.connect(self.folder / "products.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def check_mode(self) -> None:
        """Check the products."""
        with closing(sqlite3.connect(self.folder / "products.db")) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def indexes(self) -> list[Any]:
        """All that its schema has."""
        with closing(sqlite3.connect(self.folder / "products.db")) as connection:
            return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()

    @contextmanager
    def no_drain(self) -> Iterator[None]:
        """Another process holds the lock of the product database."""
        with write_lock(self.folder / "products.db"):
            yield

    @contextmanager
    def held(self, *statements: str) -> Iterator[None]:
        """Write, and do not commit before the end."""
        with closing(sqlite3.connect(self.folder / "tasks.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for statement in statements:
                other.execute(statement)
            yield
            other.execute("COMMIT")

    def has_waiting(self) -> bool:
        """Never: SQLite refuses instead."""
        return False

    @contextmanager
    def refusing(self, table: str, condition: str) -> Iterator[None]:
        """Refuse it with a trigger."""
        path = self.folder / ("tasks.db" if table == "tasks" else "products.db")
        with closing(sqlite3.connect(path)) as connection:
            for change in ("INSERT", "UPDATE"):
                connection.execute(
                    f"CREATE TRIGGER picky_{change} AFTER {change} ON {table} WHEN EXISTS "
                    f"(SELECT 1 FROM {table} WHERE rowid = new.rowid AND {condition}) "
                    "BEGIN SELECT raise(ABORT, 'picky'); END"
                )
            connection.commit()
            yield
            for change in ("INSERT", "UPDATE"):
                connection.execute(f"DROP TRIGGER picky_{change}")
            connection.commit()

    def is_by_index(self, statement: str) -> bool:
        """Ask for the plan."""
        plan = str(self.rows(f"EXPLAIN QUERY PLAN {statement}"))
        return "INDEX" in plan and "TEMP B-TREE" not in plan


def retention_clock_that_knew_old_ones() -> str:
    """What the database keeps of a clock of retention after a look at records that were old already."""
    return f"{time.time_ns() // 1_000} 0"


def make_task_database(path: Path) -> None:
    """A task database that belongs to no journal."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, "tasks")
