"""Reads an embedded installation table by table while it owns the folder; marks the folder as moved, or reopens it."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from afterwrite.base.counts import counted
from afterwrite.base.settings import Settings
from afterwrite.base.store_errors import StoreError
from afterwrite.base.time_ordered import microseconds_of
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import JOURNALED
from afterwrite.storage.declared_tables import undeclared_rows
from afterwrite.storage.moving.rows import Row
from afterwrite.storage.sqlite.data_folder import open_with_tasks
from afterwrite.storage.sqlite.declared import SqliteTables
from afterwrite.storage.sqlite.migrations import catalogue_name
from afterwrite.storage.sqlite.moved import mark_moved, moved_to
from afterwrite.storage.sqlite.stores import secret_in_folder
from afterwrite.storage.write_store import KeyUse

_OF_LEDGER = ("ledger", "ledger_totals")
_UNFINISHED = "SELECT name, value FROM meta WHERE name LIKE 'search_text_of_%'"
_OF_TASKS = ("tasks", "paused_task_types", "task_actions", "received_webhooks")
_SECRETS = ("webhook-secret", "session-secret")
_FROM_JOURNAL_AT_ONCE = 500  # its rows come as a list
_RECEIVED_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table to be copied; its first column is its key.

    ``rows`` gives every row, in the order of their keys, as PostgreSQL can hold them. It raises StoreError where the
    file cannot be read.
    """

    name: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]


class EmbeddedSource:
    """The embedded installation in DATA_DIR: opened by the constructor, read as it was then until ``close``."""

    def __init__(self, settings: Settings, resources: Mapping[str, CompiledResource] | None = None) -> None:
        """Own the folder, whose files get the newest schema. Raises StoreError with one line that says what to do.

        ``resources`` are those of the application, None if no record is to be read.
        """
        if not settings.products_path.exists():
            raise StoreError(
                f"There is no catalogue to copy: {settings.products_path} does not exist. Set DATA_DIR to the folder "
                "of the embedded server"
            )
        self._settings, self._record_tables = settings, [one.table for one in (resources or {}).values()]
        with ExitStack() as stack:
            self._journal = stack.enter_context(closing(open_with_tasks(settings, resources, moved=True)))
            self._products = stack.enter_context(closing(_open_snapshot(settings.products_path)))
            self._tasks = stack.enter_context(closing(_open_snapshot(settings.tasks_path)))
            self.catalogue = catalogue_name(self._products)
            _require_declared(settings, self._products, resources)
            self.moved_to = moved_to(self._products)  # where it was copied to the end before; None: nowhere
            [self.store] = self._tasks.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
            [settled] = self._products.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()
            self._settled_through = int(settled)
            self._opened = stack.pop_all()

    def close(self) -> None:
        """Give the folder up."""
        self._opened.close()

    def tables(self) -> list[SourceTable]:
        """Everything that is copied; the writes that wait are those that the ledger does not have."""
        products, tasks = self._settings.products_path, self._settings.tasks_path
        return [
            *(_table(self._products, products, name) for name in (*self._record_tables, *_OF_LEDGER)),
            SourceTable("writes", JOURNALED, self._waiting),
            SourceTable("outbox", ("write_id", "tasks"), self._made_tasks),
            SourceTable("idempotency_keys", (*KeyUse._fields, "used_at_us"), self._keys),
            *(_table(self._tasks, tasks, name) for name in _OF_TASKS),
        ]

    def unfinished(self) -> dict[str, str]:
        """What the search still has to follow, by its name in ``meta``."""
        return dict(self._products.execute(_UNFINISHED).fetchall())

    def secrets(self) -> dict[str, str]:
        """What signs webhooks and sessions, as far as it was made. Raises StoreError."""
        made = [name for name in _SECRETS if (self._settings.data_dir / name).exists()]
        return {name: secret_in_folder(self._settings, name, "") for name in made}

    def _waiting(self) -> Iterator[Row]:
        last = self._settled_through
        while writes := self._journal.after(last, _FROM_JOURNAL_AT_ONCE):
            for write in writes:
                yield tuple(write[: len(JOURNALED)])
            last = writes[-1].id

    def _made_tasks(self) -> Iterator[Row]:
        [through] = self._tasks.execute("SELECT value FROM meta WHERE name = 'outbox_through'").fetchone()
        rows = "SELECT write_id, tasks FROM outbox WHERE write_id > ? ORDER BY write_id"
        yield from self._products.execute(rows, (int(through),))

    def _keys(self) -> Iterator[Row]:
        last = ""  # no key is empty
        while keys := self._journal.keys_after(last, _FROM_JOURNAL_AT_ONCE):
            for key in keys:
                yield (*key, microseconds_of(key.first_write_id))
            last = keys[-1].key


def _require_declared(
    settings: Settings, products: sqlite3.Connection, resources: Mapping[str, CompiledResource] | None
) -> None:
    """Raise StoreError if there are records of a resource that the application does not declare: they would stay."""
    if resources is not None and (left := undeclared_rows(SqliteTables(products), resources)):
        name, rows = next(iter(left.items()))
        raise StoreError(
            f"{settings.data_dir} has {counted(rows, 'record')} of {name}, which the application does not declare: "
            "name the application that does with --app MODULE, or declare it"
        )


def reopen(settings: Settings) -> str | None:
    """Let the folder be served again although it was moved; returns where to, None if it was not. Raises StoreError."""
    with closing(EmbeddedSource(settings)) as source:
        if source.moved_to is not None:
            mark_moved(settings.products_path, None)
        return source.moved_to


def _open_snapshot(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, and sees the database as it is now, whatever another program does to it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise _unreadable(path, error) from error
    return connection


def _table(connection: sqlite3.Connection, path: Path, name: str) -> SourceTable:
    described = connection.execute(f"SELECT * FROM {name} LIMIT 0").description  # noqa: S608 - one of our own
    columns = tuple(item[0] for item in described)
    listed = ", ".join(f'"{column}"' for column in columns)
    fit = _fit_received if name == "received_webhooks" else _without_nul

    def rows() -> Iterator[Row]:
        statement = f"SELECT {listed} FROM {name} ORDER BY {columns[0]}"  # noqa: S608 - our own names
        try:
            for row in connection.execute(statement):
                yield fit(row) if any(type(value) is str and "\0" in value for value in row) else row
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error

    return SourceTable(name, columns, rows)


def _without_nul(row: Row) -> Row:
    """The row as PostgreSQL can hold it, which takes no NUL in a text."""
    return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)


def _fit_received(row: Row) -> Row:
    """The same; the body, which is the last column, is cut where it has become longer than it may be."""
    *others, body = _without_nul(row)
    return (*others, body.encode()[:_RECEIVED_BODY_BYTES].decode("utf-8", "ignore"))


def _unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(f"The database {path} cannot be read: {error}. Put back a backup of it, and run this again")
