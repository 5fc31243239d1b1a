"""The drain: applies the journal in one process at a time, each batch and its ledger rows in one transaction.

The draining process renews a lease in ``journal_settled``, by the database's clock; if it dies, another process takes
over some seconds later. An advisory lock guarantees the order: each transaction of a drain holds it, so no two run at
once, even if two processes believe they have the lease. It is transaction-scoped, so it works through a pooler.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from afterwrite.base.store_errors import StoreUnavailable, TransactionConflict
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.write import JOURNALED, Write, WriteStatus, size_bytes
from afterwrite.storage.declared_tables import FINGERPRINT, fingerprint
from afterwrite.storage.driver import SCHEMA, encode_rows
from afterwrite.storage.postgres.connect import explained, is_alive
from afterwrite.storage.postgres.meta import KEEP, KEPT, NOW_US
from afterwrite.storage.postgres.pipelined import SETTINGS
from afterwrite.storage.postgres.record_table import record_table_of
from afterwrite.storage.retention_clock import RetentionClock
from afterwrite.storage.settling import Settling, StoreAway, refused
from afterwrite.storage.write_store import SettledBatch

LOCK = 7_046_029_254_386_354  # arbitrary number of the advisory lock
_LEASE_US = 3_000_000
_OUTDATED_US = 30_000_000
_RENEW_US = 2_000_000
_POLL_SECONDS = 1.0
_MOST_ATTEMPTS = 10
# Between the starts of two batches, unless more is queued than a batch takes: each batch costs a commit and several
# round trips, which slow down accepting, so let a few milliseconds of writes share one.
_PACE_SECONDS = 0.008
_KEYS_PRUNED_AT_ONCE = 1_000
_RECOMPUTED_AT_ONCE = 1_000
_HOUSEKEEPING_US = 60_000_000
# Errors of a single bad write; all others mean that the database is unavailable.
_BAD_WRITE_ERRORS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.ProgrammingError,
    psycopg.errors.ProgramLimitExceeded,  # such as a text that is too long for an index
    OverflowError,
    TypeError,
    ValueError,
)
# The schema is that of another version of the application: no write is to blame.
_OTHER_SCHEMA_ERRORS = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
_STATE = (
    f"SELECT drainer, until_us, through, sleeps, {NOW_US}, "  # noqa: S608 - constants
    f"(SELECT value FROM {SCHEMA}.meta WHERE name = '{FINGERPRINT}') FROM {SCHEMA}.journal_settled"
)
_BATCH = (
    f"SELECT {', '.join(JOURNALED)} FROM {SCHEMA}.writes "  # noqa: S608 - constants
    f"WHERE id > (SELECT through FROM {SCHEMA}.journal_settled) ORDER BY id LIMIT %s"
)
_LEDGER = (
    f"INSERT INTO {SCHEMA}.ledger ({', '.join(Write._fields)}) SELECT {', '.join(Write._fields)} "  # noqa: S608
    f"FROM json_populate_recordset(NULL::{SCHEMA}.ledger, %s::json)"
)
_OUTBOX = f"INSERT INTO {SCHEMA}.outbox (write_id, tasks) VALUES (%s, %s)"  # noqa: S608 - constants
_DROP_RELAYED = f"DELETE FROM {SCHEMA}.outbox WHERE write_id <= %s"  # noqa: S608
_LEAVE_JOURNAL = f"DELETE FROM {SCHEMA}.writes WHERE id BETWEEN %s AND %s"  # noqa: S608
_TOTALS = f"UPDATE {SCHEMA}.ledger_totals SET writes = writes + CASE status WHEN 'APPLIED' THEN %s ELSE %s END"  # noqa: S608
_SETTLE = (
    f"UPDATE {SCHEMA}.journal_settled SET writes = writes + %s, size_bytes = size_bytes + %s, through = %s, "  # noqa: S608
    f"drainer = %s, until_us = {NOW_US} + {_LEASE_US}, sleeps = false"
)
_RENEW = f"UPDATE {SCHEMA}.journal_settled SET drainer = %s, until_us = {NOW_US} + {_LEASE_US}"  # noqa: S608
_RELEASE = f"UPDATE {SCHEMA}.journal_settled SET drainer = NULL, until_us = 0, sleeps = true WHERE drainer = %s"  # noqa: S608
_SLEEP = f"SELECT {SCHEMA}.let_drainer_sleep(%s)"
_PRUNE_KEYS = (
    f"DELETE FROM {SCHEMA}.idempotency_keys WHERE key IN "  # noqa: S608
    f"(SELECT key FROM {SCHEMA}.idempotency_keys WHERE used_at_us < %s ORDER BY used_at_us LIMIT %s)"
)
_OLDEST_KEY = f"SELECT min(used_at_us), {NOW_US} FROM {SCHEMA}.idempotency_keys"  # noqa: S608

Connection = psycopg.AsyncConnection[Any]


class _State(NamedTuple):
    """The row of ``journal_settled`` and the database's time."""

    drainer: str | None
    until_us: int
    through: int
    sleeps: bool
    now_us: int
    declarations: str | None

    def is_free_for(self, name: str, declarations: str) -> bool:
        """Whether the process of this name may drain.

        One with other declarations than those that came last would fail what it does not know: it waits until no other
        process has drained for a while.
        """
        if self.declarations not in (None, declarations):
            return self.until_us < self.now_us - _OUTDATED_US
        return self.drainer in (None, name) or self.until_us < self.now_us


class Drain:
    """The only connection of a process that applies writes; for one coroutine at a time."""

    def __init__(
        self, name: str, connect: Callable[[], Awaitable[Connection]], resources: Mapping[str, CompiledResource]
    ) -> None:
        """``name`` is the name of this process."""
        self._name, self._connect, self._resources = name, connect, resources
        self._tables = {name: record_table_of(resource) for name, resource in resources.items()}
        self.settling = Settling(resources, self._tables)
        self._declarations = fingerprint(resources)
        self._may_recompute = True  # whether searched texts may have to be
        self._connection: Connection | None = None
        self._sleeps = False
        self._now_us = self._housekeeping_due_us = 0
        self._next_at = 0.0
        self._retention = RetentionClock("keys")
        self.is_mine = False  # whether this process has the lease
        self.conflicts = 0
        self.relayed_through = 0  # the task queue has what writes up to it made

    async def settle_next(self, limit: int) -> SettledBatch | None:
        """Settle the oldest ``limit`` writes; None if none is queued or another process drains.

        Raises StoreAway; then none was applied.
        """
        await asyncio.sleep(self._next_at - time.monotonic())
        begun = time.monotonic()
        settled = await self._settle_with_retries(limit)
        is_full = settled is not None and len(settled.writes) == limit
        self._next_at = begun if is_full else begun + _PACE_SECONDS
        return settled

    async def _settle_with_retries(self, limit: int) -> SettledBatch | None:
        attempts_left = _MOST_ATTEMPTS
        while True:
            try:
                async with self._connected() as connection:
                    return await self._settle_next(connection, limit)
            except StoreAway as error:
                if not isinstance(error.__cause__, TransactionConflict) or not attempts_left:
                    raise
                self.conflicts += 1
                attempts_left -= 1

    async def prune(self, keys_kept_seconds: float) -> None:
        """Delete some expired idempotency keys, if this process drains."""
        if not self.is_mine or self._now_us < self._housekeeping_due_us:
            return
        async with self._connected() as connection, connection.transaction():
            [oldest_us, now_us] = await _one(await connection.execute(_OLDEST_KEY))
            kept = await (await connection.execute(KEPT, (self._retention.key,))).fetchone()
            reading = self._retention.read(kept[0] if kept else None, now_us, oldest_us)
            await connection.execute(KEEP, (self._retention.key, reading.kept))
            before_us = reading.time_us - int(keys_kept_seconds * 1_000_000)
            cursor = await connection.execute(_PRUNE_KEYS, (before_us, _KEYS_PRUNED_AT_ONCE))
        self._retention.learn(reading)
        if cursor.rowcount < _KEYS_PRUNED_AT_ONCE:
            self._housekeeping_due_us = self._now_us + _HOUSEKEEPING_US

    async def recompute_some(self) -> bool:
        """Recompute some searched texts after a change of a declaration; whether there may be more."""
        if not (self.is_mine and self._may_recompute):
            return False
        async with self._connected() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            for table in self._tables.values():
                if await table.recompute_next(connection, _RECOMPUTED_AT_ONCE):
                    return True
        self._may_recompute = False
        return False

    async def rest(self) -> float:
        """How many seconds the drain may rest, unless a write wakes it; 0: a write has just arrived."""
        if self.is_mine and not self._sleeps:
            async with self._connected() as connection:
                [self._sleeps] = await _one(await connection.execute(_SLEEP, (self._name,)))
            if not self._sleeps:
                return 0.0
        return _POLL_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    async def leave(self) -> None:
        """Release the lease; may be called twice. Raises StoreAway; then the lease expires."""
        if self.is_mine:
            self.is_mine = False
            async with self._connected() as connection, connection.pipeline():
                await connection.execute(_RELEASE, (self._name,))
                await connection.execute("SELECT pg_notify('afterwrite_accepted', 'free')")
        await self._close()

    # -- one batch ------------------------------------------------------------------------------------------

    async def _settle_next(self, connection: Connection, limit: int) -> SettledBatch | None:
        if not self.is_mine:  # read without the lock, which would delay the draining process
            state = _State._make(await _one(await connection.execute(_STATE)))
            if not state.is_free_for(self._name, self._declarations):
                return None
        try:
            return await self._in_transaction(connection, limit, self._apply)
        except _BAD_WRITE_ERRORS as error:
            if isinstance(error, _OTHER_SCHEMA_ERRORS):
                raise
            await connection.rollback()
            return await self._in_transaction(connection, limit, self._apply_one_by_one)

    async def _in_transaction(
        self,
        connection: Connection,
        limit: int,
        apply: Callable[[Connection, Sequence[Write], int], Awaitable[list[Write]]],
    ) -> SettledBatch | None:
        state, batch = await _begin(connection, limit)
        self._now_us, self._sleeps = state.now_us, state.sleeps
        self.is_mine = state.is_free_for(self._name, self._declarations)
        if not self.is_mine:
            await connection.rollback()
            return None
        self._declarations = state.declarations or self._declarations  # from now on it drains for these too
        if not batch:
            await self._renew(connection, state)
            return None
        settled = await apply(connection, batch, state.now_us)
        await self._commit(connection, batch[: len(settled)], settled)  # it may be settled in part
        self._sleeps = False
        return SettledBatch(settled, settled)

    async def _renew(self, connection: Connection, state: _State) -> None:
        if state.drainer != self._name or state.until_us - state.now_us < _RENEW_US:
            # A lease is worthless after a crash, so it needs no fsync.
            await connection.execute("SET LOCAL synchronous_commit = off")
            await connection.execute(_RENEW, (self._name,))
        await connection.commit()

    async def _commit(self, connection: Connection, batch: Sequence[Write], settled: Sequence[Write]) -> None:
        applied = sum(write.status == WriteStatus.APPLIED for write in settled)
        size = sum(size_bytes(write.arguments) for write in batch)
        first, last = batch[0].id, batch[-1].id
        async with connection.pipeline():
            await connection.execute(_LEAVE_JOURNAL, (first, last))
            if self.relayed_through:
                await connection.execute(_DROP_RELAYED, (self.relayed_through,))
            await connection.execute(_TOTALS, (applied, len(settled) - applied))
            await connection.execute(_SETTLE, (len(batch), size, last, self._name))
            await connection.execute("COMMIT")
            # After the commit: a NOTIFY inside the transaction would block all other commits until it is on disk.
            await connection.execute("SELECT pg_notify('afterwrite_settled', %s)", (str(last),))

    async def _apply(self, connection: Connection, writes: Sequence[Write], now_us: int) -> list[Write]:
        """Compute the batch in memory, then store it in a few multi-row statements."""
        outcome = await self.settling.outcome(connection, writes, lambda: now_us)
        async with connection.pipeline():
            for name, stored in outcome.stored.items():
                if stored or outcome.deleted[name]:
                    await self._tables[name].change(connection, stored, outcome.deleted[name])
            await connection.execute(_LEDGER, (encode_rows([write._asdict() for write in outcome.settled]),))
            for one in outcome.made:
                await connection.execute(_OUTBOX, one.row)
        return outcome.settled

    async def _apply_one_by_one(self, connection: Connection, writes: Sequence[Write], now_us: int) -> list[Write]:
        """The slow path: a savepoint per write, so that only the bad one fails."""
        settled = []
        for write in writes:
            await connection.execute("SAVEPOINT one")
            try:
                settled += await self._apply(connection, [write], now_us)
            except _BAD_WRITE_ERRORS as error:
                if isinstance(error, _OTHER_SCHEMA_ERRORS):
                    raise
                await connection.execute("ROLLBACK TO one")
                failed = refused(write, error, now_us)
                await connection.execute(_LEDGER, (encode_rows([failed._asdict()]),))
                settled.append(failed)
            await connection.execute("RELEASE one")
        return settled

    # -- the connection -------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """The connection; an error closes it, which rolls back, because its state is undefined."""
        try:
            yield await self._open()
        except (psycopg.Error, OSError, StoreUnavailable) as error:
            await self._close()
            explanation = explained("PostgreSQL cannot be written", error)
            message = f"{explanation}. Accepted writes wait in the journal until it can"
            raise StoreAway(message) from explanation
        except BaseException:
            await self._close()
            raise

    async def _open(self) -> Connection:
        if self._connection is not None and not is_alive(self._connection):
            await self._close()
        if self._connection is None:
            self._connection = await self._connect()
        return self._connection

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()


async def _begin(connection: Connection, limit: int) -> tuple[_State, list[Write]]:
    async with connection.pipeline():
        await connection.execute("BEGIN")
        await connection.execute(f"SELECT {SETTINGS}")
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        # READ COMMITTED: these two see everything committed before the lock was acquired.
        state = await connection.execute(_STATE)
        batch = await connection.execute(_BATCH, (limit,))
        return _State._make(await _one(state)), [Write(*row) for row in await batch.fetchall()]


async def _one(cursor: "psycopg.AsyncCursor[Any]") -> tuple[Any, ...]:
    row = await cursor.fetchone()
    assert row is not None
    return tuple(row)
