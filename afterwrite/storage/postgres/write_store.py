"""The write store in PostgreSQL: journal and ledger are tables that many processes share."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, MetaData, Select, Table, func, select

from afterwrite.base.limits import WriteLimits
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.write import JOURNALED, Write, WriteFilter, WriteStatus
from afterwrite.storage.columns import columns_of
from afterwrite.storage.driver import DriverConnection, Reopened
from afterwrite.storage.ledger import Ledger, ledger_totals
from afterwrite.storage.postgres.drain import Drain
from afterwrite.storage.write_store import Asked, Full, KeyUse, SettledBatch, Standing, Taken

_metadata = MetaData()
writes = Table("writes", _metadata, *columns_of(Write, JOURNALED))
_accepted, _settled = (
    Table(name, _metadata, *(Column(column, BigInteger) for column in ("one", "writes", "size_bytes", last_id)))
    for name, last_id in (("journal_accepted", "last_write_id"), ("journal_settled", "through"))
)
_waiting = select(writes)
_oldest = select(writes.c.accepted_at_us).where(writes.c.id > _settled.c.through).order_by(writes.c.id).limit(1)
_total = {
    status: select(ledger_totals.c.writes).where(ledger_totals.c.status == status.value).scalar_subquery()
    for status in (WriteStatus.APPLIED, WriteStatus.FAILED)
}
_now_us = func.floor(func.extract("epoch", func.clock_timestamp()) * 1_000_000)
_standing = select(
    _accepted.c.writes - _settled.c.writes,
    _accepted.c.size_bytes - _settled.c.size_bytes,
    func.coalesce(_now_us - _oldest.correlate(_settled).scalar_subquery(), 0),
    _total[WriteStatus.APPLIED],
    _total[WriteStatus.FAILED],
    _accepted.c.last_write_id,
    _settled.c.through,
).join_from(_accepted, _settled, _accepted.c.one == _settled.c.one)
_ACCEPT = """
SELECT outcome, first_id, writes, fingerprint, new_record_ids, at_us, size_bytes FROM afterwrite.accept_writes(
    %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[],
    %s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s, %s)
"""


class PostgresWrites:
    """The writes in a PostgreSQL database; see ``WriteStore``."""

    def __init__(
        self,
        reader: Engine,
        connect: Callable[[], DriverConnection],
        drain: Drain,
        limits: WriteLimits,
        others_live: Callable[[], bool],
    ) -> None:
        """``connect`` opens the accepting connection; ``others_live`` tells whether another server could drain."""
        self._others_live = others_live
        self.ledger, self.settling = Ledger(reader), drain.settling
        self._reader, self._drain, self._limits = reader, drain, limits
        self._connection = Reopened(connect)
        self._recomputes = False
        self.last_write_id = self.depth = self._through = self.settled_total = 0
        if (trouble := self.standing().trouble) is not None:
            raise StoreError(trouble)

    # -- accept ---------------------------------------------------------------------------------------------

    def take(self, asked: Sequence[Asked]) -> list[Taken]:
        """Append requests to the journal in one commit; processes take turns."""
        try:
            connection = self._connection.get()
        except StoreError as error:
            raise _not_taken(error, "Nothing of this request was accepted; send it again later") from error
        arguments = [*_columns(asked), self._limits.max_writes, self._limits.max_bytes]
        try:
            rows = connection.execute(lambda cursor: cursor.execute(_ACCEPT, arguments).fetchall())
        except StoreError as error:
            self._connection.close()  # its state is undefined after an error
            raise _not_taken(error, _outcome_of(error)) from error
        except BaseException:
            self._connection.close()
            raise
        taken = [_taken(one, row) for one, row in zip(asked, rows, strict=True)]
        last = [one[-1].id for one in taken if isinstance(one, list) and one]
        self.last_write_id = max([self.last_write_id, *last])
        return taken

    def close(self) -> None:
        """Close the accepting connection; the next request reopens it."""
        self._connection.close()

    # -- state ----------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """The current snapshot, over all processes."""
        try:
            with self._reader.connect() as connection:
                row = connection.execute(_standing).one()
        except StoreError as error:
            return Standing(self.depth, 0, 0, 0, 0, str(error))
        depth, size, age_us, applied, failed, last_write_id, through = row
        self.depth, self.last_write_id = depth, max(self.last_write_id, last_write_id)
        self._through, self.settled_total = max(self._through, through), applied + failed
        return Standing(depth, size, max(0, int(age_us) // 1_000), applied, failed)

    def settled_through(self) -> int:
        if (trouble := self.standing().trouble) is not None:
            raise StoreError(trouble)
        return self._through

    def knows(self, write_id: int) -> bool:
        return write_id <= self.last_write_id or (self.standing().trouble is None and write_id <= self.last_write_id)

    @property
    def drains(self) -> bool:
        """Whether this process has the lease to drain."""
        return self._drain.is_mine

    def find(self, write_id: int) -> Write | None:
        return next(iter(self._writes(_waiting.where(writes.c.id == write_id))), None)

    def find_range(self, first: int, count: int) -> list[Write]:
        of_range = _waiting.where(writes.c.id >= first, writes.c.id < first + count)
        return self._writes(of_range.order_by(writes.c.id))

    def newest(self, wanted: WriteFilter, before: int, limit: int) -> list[Write]:
        page = _waiting.where(writes.c.id < before).order_by(writes.c.id.desc()).limit(limit)
        if wanted.resource is not None:
            page = page.where(writes.c.resource == wanted.resource)
        if wanted.record_id is not None:
            page = page.where(writes.c.record_id == wanted.record_id)
        if wanted.by is not None:
            page = page.where(writes.c.accepted_by == wanted.by)
        return self._writes(page)

    def _writes(self, statement: Select[Any]) -> list[Write]:
        with self._reader.connect() as connection:
            return [Write(*row) for row in connection.execute(statement).all()]

    # -- drain ----------------------------------------------------------------------------------------------

    async def settle_next(self, limit: int) -> SettledBatch | None:
        """Settle the oldest writes, if this process has the lease."""
        return await self._drain.settle_next(limit)

    async def tidy(self, *, quiet: bool) -> None:
        """Delete expired idempotency keys; recompute searched texts after a change of a declaration."""
        if quiet:
            await self._drain.prune(self._limits.idempotency_seconds)
        self._recomputes = await self._drain.recompute_some()

    def relayed(self, write_id: int) -> None:
        self._drain.relayed_through = write_id

    async def rest(self) -> float | None:
        """Rest until a write is accepted, or poll after about a second."""
        return 0.0 if self._recomputes else await self._drain.rest()

    async def may_leave(self) -> bool:
        """Whether another server is alive and can drain."""
        return await asyncio.to_thread(self._others_live)

    async def leave(self) -> None:
        await self._drain.leave()


def _not_taken(error: StoreError, outcome: str) -> StoreError:
    return StoreError(f"{error}. {outcome}", public_text=f"The database cannot be used at the moment. {outcome}")


def _outcome_of(error: StoreError) -> str:
    """What the client should know about a request that failed with this error."""
    if getattr(error.__cause__, "sqlstate", None) is None:  # the connection broke
        return "Whether this request was accepted is not known: send it again, with the idempotencyKey that it had"
    return "Nothing of this request was accepted; send it again later"


def _columns(asked: Sequence[Asked]) -> list[list[Any]]:
    """The arguments of accept_writes: one list per column of the requests, then of their writes."""
    requests = [request for one in asked for request in one.requests]
    return [
        [one.key for one in asked],
        [one.fingerprint for one in asked],
        [len(one.requests) for one in asked],
        [one.size_bytes for one in asked],
        [one.by for one in asked],
        [request.resource for request in requests],
        [request.operation for request in requests],
        [request.record_id for request in requests],
        [request.arguments for request in requests],
        [request.retry_of for request in requests],
        [request.if_version for request in requests],
    ]


def _taken(asked: Asked, row: Sequence[Any]) -> Taken:
    outcome, first_id, count, fingerprint, record_ids, at_us, size_bytes = row
    if outcome == "KNOWN":
        return KeyUse(asked.key or "", fingerprint, first_id, count)
    if outcome == "FULL":
        return Full(count, size_bytes)
    return [
        Write(first_id + place, resource, operation, record_id, arguments, at_us, retry_of, asked.by, if_version)
        for place, (request, record_id) in enumerate(zip(asked.requests, record_ids or [], strict=True))
        for resource, operation, _, arguments, retry_of, _, if_version in [request]
    ]
