"""The SQLite writer: applies a batch of writes and its ledger rows in one transaction."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import aiosqlite

from afterwrite.base.store_errors import StoreError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import Write, WriteStatus
from afterwrite.storage.settling import Settling, StoreAway, refused
from afterwrite.storage.sqlite.driver_thread import in_driver_thread
from afterwrite.storage.sqlite.many_rows import insert_statements
from afterwrite.storage.sqlite.opened_file import OpenedFile, wal_of
from afterwrite.storage.sqlite.record_table import record_table_of
from afterwrite.storage.sqlite.search_recompute import recompute_next
from afterwrite.storage.write_store import SettledBatch

_LEDGER, _OUTBOX = f"ledger ({', '.join(Write._fields)})", "outbox (write_id, tasks)"
_DROP_RELAYED = "DELETE FROM outbox WHERE write_id <= ?"
# Errors of a single bad write; all others mean that the database is unavailable.
_BAD_WRITE_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    ValueError,
)
_UNKNOWN = 2**63  # above every id
_BUSY_MILLISECONDS = 250  # short: a longer wait shows as a retry in /health


S = TypeVar("S")
T = TypeVar("T")


def _unwritable(path: Path, reason: str) -> str:
    return (
        f"The product database {path} cannot be written: {reason}. Accepted writes wait in the journal "
        "and are applied when it can be written again"
    )


class CatalogueWriter:
    """The only connection that writes the product database; for one coroutine at a time.

    Another connection that has read must stay open meanwhile: it keeps SQLite from deleting the WAL, so that a missing
    WAL means that somebody removed it.
    """

    def __init__(self, path: Path, resources: Mapping[str, CompiledResource]) -> None:
        """Raises StoreError if the file or its WAL is missing."""
        self.path, self._resources = path, resources
        self._tables = {name: record_table_of(resource) for name, resource in resources.items()}
        self.settling = Settling(resources, self._tables)
        self._connection: aiosqlite.Connection | None = None
        self._file = OpenedFile(path, wal_of(path))
        self.relayed_through = 0  # the task queue has what writes up to it made
        self._settled_through = _UNKNOWN  # no write above it is in the ledger

    async def settle(self, next_batch: Callable[[], Sequence[Write]]) -> SettledBatch | None:
        """Apply the next writes in order and record them in the ledger; all are on disk when this returns.

        ``next_batch`` is called in the driver's thread; without a write there is nothing to settle. A write that is
        already in the ledger is returned as settled then, without effect. A write that can never be applied becomes
        FAILED and does not affect the others. Raises StoreAway; then none was applied.
        """

        settled = await self._in_transaction(self._settle, next_batch)
        if settled is not None:
            self._settled_through = settled.writes[-1].id
        return settled

    async def index_some(self, limit: int) -> int:
        """Index at most ``limit`` records for search; return their number, ``limit`` if there may be more."""
        return await self._in_transaction(self._index_next, lambda: limit) or 0

    def trouble(self) -> str | None:
        """Why the replaced or deleted file cannot be written, or None; thread-safe."""
        try:
            self._file.check()
        except StoreError as error:
            return _unwritable(self.path, str(error))
        return None

    async def close(self) -> None:
        """Close the connection; may be called twice. The next call reopens it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _in_transaction(
        self, work: Callable[[aiosqlite.Connection, S], Awaitable[T]], next_of: Callable[[], S]
    ) -> T | None:
        """Do the next work, both in the driver's thread; nothing if there is none."""

        async def transaction(db: aiosqlite.Connection) -> T | None:
            given = next_of()
            if not given:
                return None
            await db.execute("BEGIN IMMEDIATE")
            result = await work(db, given)
            self._file.check()
            await db.execute("COMMIT")
            return result

        try:
            return await in_driver_thread(await self._open(), transaction)
        except (sqlite3.Error, OSError, StoreError) as error:
            await self._give_up()
            raise StoreAway(_unwritable(self.path, str(error))) from error
        except BaseException:
            await self._give_up()
            raise

    async def _give_up(self) -> None:
        """Close the connection, which rolls back: its state is undefined after an error."""
        self._settled_through = _UNKNOWN
        connection = self._connection
        if connection is not None and self.trouble():
            with contextlib.suppress(sqlite3.Error):  # as opened_file.save_committed, on the driver's thread
                await connection.rollback()
                await connection.execute("PRAGMA wal_checkpoint")
        with contextlib.suppress(sqlite3.Error):  # report the original error
            await self.close()

    async def _open(self) -> aiosqlite.Connection:
        self._file.check()  # before opening: SQLite would apply an existing WAL to any file
        if self._connection is None:
            connection = self._connection = await _connect(self.path)
            await connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
            # The journal drops a write after this commit, so it must survive a power cut.
            await connection.execute("PRAGMA synchronous = FULL")
        return self._connection

    async def _settle(self, db: aiosqlite.Connection, batch: Sequence[Write]) -> SettledBatch:
        known = {} if batch[0].id > self._settled_through else await _settled_before(db, batch)
        fresh = [write for write in batch if write.id not in known]
        try:
            settled = await self._apply(db, fresh)
        except _BAD_WRITE_ERRORS:
            await db.execute("ROLLBACK")
            await db.execute("BEGIN IMMEDIATE")
            settled = await self._apply_one_by_one(db, fresh)
        await _count(db, settled)
        if self.relayed_through:
            await db.execute(_DROP_RELAYED, (self.relayed_through,))
        known.update((write.id, write) for write in settled)
        through = takewhile(lambda write: write.id in known, batch)  # a batch may be settled in part
        return SettledBatch([known[write.id] for write in through], settled)

    async def _apply(self, db: aiosqlite.Connection, writes: Sequence[Write]) -> list[Write]:
        """Compute the batch in memory, then store it in a few multi-row statements."""
        outcome = await self.settling.outcome(db, writes, lambda: time.time_ns() // 1000)
        for name, stored in outcome.stored.items():
            if stored or outcome.deleted[name]:
                await self._tables[name].change(db, stored, outcome.deleted[name])
        for statement, values in insert_statements(_LEDGER, outcome.settled):
            await db.execute(statement, values)
        for statement, values in insert_statements(_OUTBOX, [one.row for one in outcome.made]):
            await db.execute(statement, values)
        return outcome.settled

    async def _apply_one_by_one(self, db: aiosqlite.Connection, writes: Sequence[Write]) -> list[Write]:
        """The slow path: a savepoint per write, so that only the bad one fails."""
        settled = []
        for write in writes:
            await db.execute("SAVEPOINT one")
            try:
                settled += await self._apply(db, [write])
            except _BAD_WRITE_ERRORS as error:
                await db.execute("ROLLBACK TO one")
                failed = refused(write, error, time.time_ns() // 1000)
                for statement, values in insert_statements(_LEDGER, [failed]):
                    await db.execute(statement, values)
                settled.append(failed)
            await db.execute("RELEASE one")
        return settled

    async def _index_next(self, db: aiosqlite.Connection, limit: int) -> int:
        """Recompute texts that another declaration searched, or else index; returns ``limit`` if there may be more."""
        for resource in self._resources.values():
            if await recompute_next(db, resource, limit):
                return limit
        indexes = [table.index for table in self._tables.values() if table.index is not None]
        done = 0
        for index in indexes:
            done += await index.index_next(db, limit - done)
            if done == limit:
                break
        return done


async def _connect(path: Path) -> aiosqlite.Connection:
    uri = f"{path.resolve().as_uri()}?mode=rw"  # never creates the file
    # Opened here: the driver's thread may outlive the loop after a failed connect.
    raw = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connecting = asyncio.ensure_future(aiosqlite.Connection(lambda: raw, iter_chunk_size=64))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:  # if cancelled here, nothing else would close it
        await (await connecting).close()
        raise


async def _settled_before(db: aiosqlite.Connection, batch: Sequence[Write]) -> dict[int, Write]:
    rows = await db.execute_fetchall(
        f"SELECT {', '.join(Write._fields)} FROM ledger WHERE id BETWEEN ? AND ?",  # noqa: S608 - constants
        (batch[0].id, batch[-1].id),
    )
    return {row[0]: Write(*row) for row in rows}


async def _count(db: aiosqlite.Connection, settled: Sequence[Write]) -> None:
    applied = sum(write.status == WriteStatus.APPLIED for write in settled)
    await db.execute(
        "UPDATE ledger_totals SET writes = writes + CASE status WHEN 'APPLIED' THEN ? ELSE ? END",
        (applied, len(settled) - applied),
    )
