"""The SQLite journal of accepted writes that are not settled yet; an exclusive lock gives it one owner."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.write import JOURNALED, ROW_OVERHEAD_BYTES, Write, WriteFilter
from afterwrite.storage.sqlite.many_rows import insert_statements
from afterwrite.storage.sqlite.migrations import can_be_database, migrate
from afterwrite.storage.sqlite.opened_file import OpenedFile, save_committed, wal_of
from afterwrite.storage.write_store import KeyUse

_COLUMNS = ", ".join(JOURNALED)
_WRITES = f"writes ({_COLUMNS})"
_NEW_KEYS = "idempotency_keys (key, fingerprint, first_write_id, writes)"
_KEYS = f"SELECT {', '.join(KeyUse._fields)} FROM idempotency_keys"  # noqa: S608 - constants
_SCANNED_AT_ONCE = 10_000
_PART_START = "SELECT min(id) FROM (SELECT id FROM writes WHERE id < ? AND id > ? ORDER BY id DESC LIMIT ?)"
_PART = (
    "WHERE id < ?1 AND id >= ?2 AND (?3 IS NULL OR resource = ?3) AND (?4 IS NULL OR record_id = ?4) "
    "AND (?5 IS NULL OR accepted_by = ?5) ORDER BY id DESC LIMIT ?6"
)


class JournalOwned(StoreError):
    """Another process owns the journal (promise P6)."""


class JournalUnreadable(StoreError):
    """The journal is damaged; it is not skipped, because it may hold accepted writes."""


class JournalUnwritable(StoreError):
    """The journal could not be written (disk full, I/O error); nothing was accepted."""

    public_text = "The journal cannot be written: nothing of this request was accepted. Send it again later"


class Backlog(NamedTuple):
    """The content of the journal."""

    writes: int
    size_bytes: int
    last_id: int


class Journal:
    """The journal of one data folder. Thread-safe; calls are serialized."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._file = connection, OpenedFile(path, wal_of(path))
        self._lock = threading.Lock()
        self.path = path

    @classmethod
    def open(cls, path: Path, sync: str = "full") -> "Journal":
        """Open or create the journal and own it until ``close``.

        ``sync`` is ``full`` (a commit survives a power cut) or ``normal`` (only a killed process). Raises
        JournalOwned, JournalUnreadable, or JournalUnwritable.
        """
        if not can_be_database(path):
            raise JournalUnreadable(_unreadable(path, "it is not a database"))
        if path.exists() and not os.access(path, os.W_OK):
            raise JournalUnwritable(f"The journal {path} is read-only. Check the rights of the file")
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        except sqlite3.Error as error:
            raise JournalUnwritable(
                f"The journal {path} cannot be opened: {error}. Check the folder's rights"
            ) from error
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
            migrate(connection, "journal")
            connection.execute("BEGIN IMMEDIATE")  # takes the exclusive lock now
            connection.execute("COMMIT")
            _check_readable(connection, path)
        except sqlite3.Error as error:
            connection.close()
            raise _opening_error(path, error) from error
        except StoreError:
            connection.close()
            raise
        return cls(connection, path)

    def close(self) -> None:
        """Close and release the journal; may be called twice."""
        with self._lock:
            self._connection.close()

    def remember(self, name: str, value: str) -> str:
        """Store a value under a name permanently; return it, or the one stored before."""
        with self._lock:
            try:
                self._connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, value))
                row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            except sqlite3.Error as error:
                raise _opening_error(self.path, error) from error
            return str(row[0])

    def remembered(self, name: str) -> str | None:
        """The value stored under a name, or None."""
        rows = self._read("SELECT value FROM meta WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def append(self, writes: Sequence[Write], keys: Iterable[KeyUse], forget_through: int) -> None:
        """Append writes and keys in one commit, and drop the writes up to id ``forget_through``, which the ledger has.

        Raises JournalUnwritable; then nothing was changed.
        """
        with self._transaction() as connection:
            for statement, values in insert_statements(_WRITES, [write[: len(JOURNALED)] for write in writes]):
                connection.execute(statement, values)
            for statement, values in insert_statements(_NEW_KEYS, list(keys)):
                connection.execute(statement, values)
            if forget_through:
                connection.execute("DELETE FROM writes WHERE id <= ?", (forget_through,))
                _put(connection, "forgotten_through", str(forget_through))

    def probe(self) -> None:
        """Test whether commits work. Raises JournalUnwritable."""
        with self._transaction() as connection:
            _put(connection, "tried_out", "")

    def check_file(self) -> None:
        """Raise JournalUnwritable if the file was deleted or replaced."""
        try:
            self._file.check()
        except StoreError as error:
            raise JournalUnwritable(_unwritable(self.path, error)) from error

    def forgotten_through(self) -> int:
        """The largest id of a dropped write, which the ledger has; 0 if there is none."""
        return int(self.remembered("forgotten_through") or 0)

    def after(self, write_id: int, limit: int) -> list[Write]:
        """The oldest ``limit`` writes with an id above ``write_id``, in order of acceptance."""
        return self._writes("WHERE id > ? ORDER BY id LIMIT ?", write_id, limit)

    def newest(self, wanted: WriteFilter, before: int, after: int, limit: int) -> list[Write]:
        """The newest ``limit`` writes with ``after < id < before`` that match, newest first.

        A write dropped meanwhile may be missing: the ledger has it.
        """
        found: list[Write] = []
        part = limit  # enough without a filter
        while len(found) < limit and (start := self._part_start(before, after, part)) is not None:
            left = limit - len(found)
            found += self._writes(_PART, before, start, wanted.resource, wanted.record_id, wanted.by, left)
            before, part = start, _SCANNED_AT_ONCE
        return found

    def _part_start(self, before: int, after: int, most: int) -> int | None:
        """Where the newest ``most`` writes with ``after < id < before`` begin; None if there are none.

        A read blocks accepting, so a search reads the journal in parts.
        """
        [(start,)] = self._read(_PART_START, before, after, most)
        return None if start is None else int(start)

    def find(self, write_id: int) -> Write | None:
        """A write of the journal; the ledger may have it already."""
        found = self._writes("WHERE id = ?", write_id)
        return found[0] if found else None

    def find_range(self, first: int, count: int) -> list[Write]:
        """The writes among ``count`` consecutive ids from ``first``."""
        return self._writes("WHERE id >= ? AND id < ? ORDER BY id", first, first + count)

    def key_use(self, key: str) -> KeyUse | None:
        """The use of an idempotency key, or None."""
        rows = self._read(f"{_KEYS} WHERE key = ?", key)
        return KeyUse._make(rows[0]) if rows else None

    def keys_after(self, key: str, limit: int) -> list[KeyUse]:
        """The first ``limit`` idempotency keys after ``key``, in byte order."""
        rows = self._read(f"{_KEYS} WHERE key > ? ORDER BY key LIMIT ?", key, limit)
        return [KeyUse._make(row) for row in rows]

    def oldest_key(self) -> int | None:
        """The id of the first write of the oldest idempotency key, or None."""
        [(oldest,)] = self._read("SELECT min(first_write_id) FROM idempotency_keys")
        return None if oldest is None else int(oldest)

    def prune_keys(self, before: int, limit: int, keep: tuple[str, str]) -> int:
        """Delete up to ``limit`` keys of writes with an id below ``before``; return their number.

        ``keep`` is a name and a value to store in the same commit.
        """
        with self._transaction() as connection:
            _put(connection, *keep)
            return connection.execute(
                "DELETE FROM idempotency_keys WHERE key IN "
                "(SELECT key FROM idempotency_keys WHERE first_write_id < ? LIMIT ?)",
                (before, limit),
            ).rowcount

    def backlog(self) -> Backlog:
        """Measure the backlog; reads the whole journal."""
        rows = self._read(
            "SELECT count(*), coalesce(sum(length(CAST(arguments AS BLOB))), 0) + count(*) * ?, coalesce(max(id), 0) "
            "FROM writes",
            ROW_OVERHEAD_BYTES,
        )
        return Backlog._make(rows[0])

    def last_record_ids(self) -> dict[str, int]:
        """The largest record id of each resource that was given to a waiting write."""
        made = "SELECT resource, max(record_id) FROM writes WHERE operation IN ('CREATE', 'UPSERT') GROUP BY resource"
        return dict(self._read(made))

    def _writes(self, where: str, *values: int | str | None) -> list[Write]:
        return [Write(*row) for row in self._read(f"SELECT {_COLUMNS} FROM writes {where}", *values)]  # noqa: S608

    def _read(self, statement: str, *values: int | str | None) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise JournalUnreadable(_unreadable(self.path, str(error))) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit at the end of the block; roll back if it raises."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self.check_file()
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise JournalUnwritable(_unwritable(self.path, error)) from error
            except StoreError:
                save_committed(self._connection)
                raise
            finally:
                with contextlib.suppress(sqlite3.Error):  # report the original error
                    if self._connection.in_transaction:  # never leave one open for the next request
                        self._connection.execute("ROLLBACK")


def _put(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _check_readable(connection: sqlite3.Connection, path: Path) -> None:
    for table in ("meta", "writes"):
        verdict = connection.execute(f"PRAGMA quick_check({table})").fetchone()[0]
        if verdict != "ok":
            raise JournalUnreadable(_unreadable(path, verdict))


def _opening_error(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalOwned(
            f"Another Afterwrite process owns the data folder {path.parent} (its journal {path.name} is locked): "
            "stop that process, or give this one another DATA_DIR"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalUnreadable(_unreadable(path, str(error)))
    return JournalUnwritable(
        f"The journal {path} cannot be used: {error}. Check the rights and the free space of its folder"
    )


def _unwritable(path: Path, error: Exception) -> str:
    return (
        f"The journal {path} cannot be written: {error}. Nothing of this request was accepted; "
        "free space or repair the disk, then send it again"
    )


def _unreadable(path: Path, reason: str) -> str:
    return (
        f"The journal {path} cannot be read: {reason}. It may hold accepted writes, so it is not skipped: "
        f"restore it from a backup, or save what can be read with `sqlite3 {path.name} .recover`, "
        "or move it away to start without those writes"
    )
