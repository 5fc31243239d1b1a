"""The write queue: accepts writes into the journal and applies them in the background."""

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.counts import counted
from afterwrite.base.limits import WriteLimits
from afterwrite.base.store_errors import StoreError
from afterwrite.resources.write import Write, WriteFilter, WriteRequest, WriteStatus
from afterwrite.storage.write_store import KeyUse, SettledBatch, WriteStore
from afterwrite.writes.accepting import Acceptor, NotAcceptedError, Refusal
from afterwrite.writes.waiting import Waiters

if TYPE_CHECKING:
    from afterwrite.storage.postgres.bus import PostgresBus

__all__ = ["NotAcceptedError", "QueueState", "QueueStatus", "Refusal", "WriteQueue"]

_log = logging.getLogger("afterwrite.queue")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_RATE_SECONDS = 10
_PROBE_SECONDS = 1.0


class QueueState(StrEnum):
    """The state of the queue."""

    IDLE = "IDLE"
    DRAINING = "DRAINING"
    FULL = "FULL"
    RETRYING = "RETRYING"
    STOPPING = "STOPPING"


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A snapshot of the queue; totals count from the creation of the catalogue.

    ``trouble`` says why writes cannot be applied, ``journal_trouble`` why none are accepted.
    """

    depth: int
    size_bytes: int
    oldest_age_ms: int
    applied_total: int
    failed_total: int
    writes_per_second: float
    state: QueueState
    trouble: str | None
    journal_trouble: str | None


class WriteQueue:
    """The path of every write: ``accept`` returns once it is journaled, the drain applies it afterwards.

    Thread-safe. ``on_settled`` is called on the background loop with each batch and must not block.
    """

    def __init__(
        self,
        store: WriteStore,
        background: BackgroundLoop,
        limits: WriteLimits,
        on_settled: Callable[[Sequence[Write]], None] = lambda _: None,
    ) -> None:
        self._store, self._background, self._limits, self._on_settled = store, background, limits, on_settled
        self._drain_task: asyncio.Task[None] | None = None
        self._acceptor = Acceptor(store.take, limits.max_writes, limits.max_bytes)
        self._waiters = Waiters(store.settled_through(), limits.max_waiters)
        self._rate: deque[tuple[int, int]] = deque(maxlen=_RATE_SECONDS + 1)
        self._trouble: str | None = None
        self._wake, self._stop_asked = asyncio.Event(), asyncio.Event()
        self._idle = False
        self.stop_announced = False
        self.on_settling: Callable[[Sequence[Write]], None] = lambda _: None
        """Called with every batch, which may have been settled before by a commit that reported an error."""
        self._stopping = self._leaves = False  # leaves: another process drains the rest

    # -- accept ---------------------------------------------------------------------------------------------

    def accept(
        self, requests: Sequence[WriteRequest], idempotency_key: str | None = None, by: str | None = None
    ) -> list[Write]:
        """Accept the writes of the caller ``by``, all or none, in order; they are on disk when this returns.

        The same key with the same requests, from any caller, returns the current receipts of the first request. Raises
        NotAcceptedError: queue full, shutting down, key reused for other requests, or journal not writable.
        """
        accepted = self._acceptor.accept(requests, idempotency_key, by)
        if isinstance(accepted, KeyUse):
            return self._receipts(accepted.first_write_id, accepted.writes)
        if self._idle:  # safe without a lock: the drain rereads the journal after setting it
            self._idle = False
            self._background.call(self._wake.set)
        return accepted

    # -- receipts -------------------------------------------------------------------------------------------

    def find(self, write_id: int) -> Write | None:
        """The receipt of a write, or None if it never existed."""
        waiting = self._store.find(write_id)  # journal first: writes move from it to the ledger
        if waiting is not None and not self.is_settled(write_id):
            return waiting  # works while the ledger is unreadable
        return self._store.ledger.find(write_id)

    def newest(self, wanted: WriteFilter, before: int | None, limit: int) -> list[Write]:
        """The newest ``limit`` receipts with an id below ``before``, newest first."""
        end = 2**63 - 1 if before is None else before
        waiting: list[Write] = []
        if wanted.status in (None, WriteStatus.QUEUED):  # journal first: writes move from it to the ledger
            waiting = self._store.newest(wanted, end, limit)
        if wanted.status is WriteStatus.QUEUED:
            return waiting
        settled = self._store.ledger.newest(wanted, end, limit)
        known = {write.id for write in settled}
        merged = [write for write in waiting if write.id not in known] + settled
        return sorted(merged, key=lambda write: -write.id)[:limit]

    @property
    def last_write_id(self) -> int:
        """The id of the last accepted write; 0 if there is none."""
        return self._store.last_write_id

    @property
    def settled_through(self) -> int:
        """The id up to which every write is settled; writes settle in id order."""
        return self._waiters.settled_through

    @property
    def depth(self) -> int:
        """The number of queued writes."""
        return self._store.depth

    def counts(self) -> dict[WriteStatus, int]:
        """The number of writes by status, counted from the creation of the catalogue."""
        standing = self._store.standing()
        return {
            WriteStatus.QUEUED: standing.depth,
            WriteStatus.APPLIED: standing.applied,
            WriteStatus.FAILED: standing.failed,
        }

    def knows(self, write_id: int) -> bool:
        """Whether a write with this id can have been accepted."""
        return 0 < write_id <= self.last_write_id or (write_id > 0 and self._store.knows(write_id))

    def is_settled(self, write_id: int) -> bool:
        """Whether every write up to this id is settled."""
        if write_id > self.settled_through:
            self._waiters.advance(self._store.settled_through())
        return write_id <= self.settled_through

    def wait(self, write_id: int, timeout_seconds: float) -> Write | None:
        """Wait until a write is settled and return it; None on timeout.

        At most ``max_waiters`` callers wait; another one gets None at once, so that waiting never
        uses up the threads.
        """
        if not self.is_settled(write_id):
            settled = self._waiters.wait(write_id, timeout_seconds)
            if settled is not None or not self.is_settled(write_id):
                return settled
        return self._store.ledger.find(write_id)

    async def watch(self, write_id: int, timeout_seconds: float) -> Write | None:
        """As ``wait``, on the loop and without the limit of waiters."""
        if write_id > self.settled_through:
            settled = await self._waiters.watch(write_id, timeout_seconds)
            if settled is not None or write_id > self.settled_through:
                return settled
        return await asyncio.to_thread(self._store.ledger.find, write_id)

    def status(self) -> QueueStatus:
        """A snapshot of the queue; works whatever the state of the files."""
        standing = self._store.standing()
        now = int(time.monotonic())
        recent = sum(count for second, count in list(self._rate) if now - _RATE_SECONDS <= second < now)
        return QueueStatus(
            depth=standing.depth,
            size_bytes=standing.size_bytes,
            oldest_age_ms=standing.oldest_age_ms,
            applied_total=standing.applied,
            failed_total=standing.failed,
            writes_per_second=recent / _RATE_SECONDS,
            state=self._state(standing.depth, standing.size_bytes),
            trouble=self._trouble or standing.database_trouble,
            journal_trouble=self._acceptor.trouble or standing.trouble,
        )

    # -- start and stop -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the drain, which first replays the journal."""
        self._background.keep("The drain of accepted writes", self._drain())
        self._background.keep("The probe of the journal", self._probe_journal())
        if self._store.depth:
            _log.info("replaying %s from the journal", counted(self._store.depth, "write"))

    def share(self, bus: "PostgresBus") -> None:
        """Subscribe to the other processes on the same database; call it before the bus runs."""
        bus.on("afterwrite_accepted", self._note_accepted)
        bus.on("afterwrite_settled", lambda through: self._waiters.advance(int(through)))
        bus.on_poll(self._poll)

    def announce_stop(self) -> None:
        """End event streams: the server waits for them before it stops, and nothing else ends them."""
        self.stop_announced = True
        self._waiters.wake_watchers()

    def stop(self) -> None:
        """Refuse new writes and drain for at most ``stop_seconds``; the rest stays in the journal."""
        if self._stopping:
            return
        self.announce_stop()
        self._acceptor.close()
        self._stopping = True
        self._background.finish(self._finish())
        if self._drain_task is None:
            return
        left = self._store.standing().depth
        _log.info("drained" if not left else f"left in the journal for the next start: {counted(left, 'write')}")

    async def _finish(self) -> None:
        self._wake.set()
        self._stop_asked.set()
        # Wait for the task, not a concurrent future: that counts as cancelled while its coroutine still cleans up.
        drain = self._drain_task
        if drain is not None:
            self._leaves = await self._store.may_leave()
            await asyncio.wait([drain], timeout=self._limits.stop_seconds)
            drain.cancel()
            await asyncio.wait([drain])
        try:
            await self._store.leave()
        except StoreError as error:  # the next start finds settled writes in the ledger
            self._report(error)

    # -- drain ----------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Settle the journal, oldest first, until a stop; a failure is logged, reported in the status and retried."""
        self._drain_task, pause = asyncio.current_task(), _FIRST_PAUSE_SECONDS
        while True:
            try:
                worked = await self._drain_once()
                self._recover()
                if self._stopping and (self._leaves or not worked):
                    return
                if not worked:
                    await self._rest()
                pause = _FIRST_PAUSE_SECONDS
            except Exception as error:  # noqa: BLE001 - the one place that handles failures of the loop
                self._report(error)
                await self._pause(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _drain_once(self) -> bool:
        """Settle the next batch and do some housekeeping; return whether there was a batch."""
        batch = await self._store.settle_next(self._limits.batch_size)
        if batch is not None:
            self._publish(batch)
        if not self._stopping:
            await self._store.tidy(quiet=batch is None)
        return batch is not None

    async def _rest(self) -> None:
        """Wait for the next write, or until the store wants to poll."""
        self._wake.clear()
        self._idle = True
        longest = await self._store.rest()  # sees writes accepted before the flag was set
        if longest != 0 and not self._stopping:
            with contextlib.suppress(TimeoutError):
                # In Python 3.11 wait_for may lose a cancellation that arrives with the result.
                async with asyncio.timeout(longest):
                    await self._wake.wait()
        self._idle = False

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop_asked.wait()
            await asyncio.sleep(seconds)  # during a stop, keep retrying at this pace until its timeout

    # -- settle ---------------------------------------------------------------------------------------------

    def _publish(self, batch: SettledBatch) -> None:
        """Announce settled writes, which are on disk in the ledger."""
        self._rate_count(len(batch.fresh))
        self._waiters.release(batch.writes)
        self.on_settling(batch.writes)
        self._on_settled(batch.fresh)

    def _rate_count(self, count: int) -> None:
        second = int(time.monotonic())
        if self._rate and self._rate[-1][0] == second:
            self._rate[-1] = (second, self._rate[-1][1] + count)
        else:
            self._rate.append((second, count))

    def _receipts(self, first: int, count: int) -> list[Write]:
        receipts = {write.id: write for write in self._store.find_range(first, count)}
        if self.is_settled(first) or len(receipts) < count:
            receipts |= {write.id: write for write in self._store.ledger.find_range(first, count)}
        missing = [write_id for write_id in range(first, first + count) if write_id not in receipts]
        if missing:
            message = (
                f"Write {missing[0]} was accepted with this idempotency key, and the ledger does not have it: "
                "the product database is not the one that it was applied to"
            )
            raise StoreError(message, public_text=message)
        return [receipts[write_id] for write_id in range(first, first + count)]

    # -- other processes ------------------------------------------------------------------------------------

    def _note_accepted(self, payload: str) -> None:
        """Wake the drain: another process accepted a write, or (``free``) gave up the lease."""
        if payload == "free" or self._store.drains:
            self._idle = False
            self._wake.set()

    async def _poll(self) -> None:
        """Catch up on lost notifications."""
        before = self._store.settled_total
        self._waiters.advance(await asyncio.to_thread(self._store.settled_through))
        if not self._store.drains and before:
            self._rate_count(self._store.settled_total - before)

    # -- trouble --------------------------------------------------------------------------------------------

    async def _probe_journal(self) -> None:
        """Probe a failed journal, so that its health recovers before the next write arrives."""
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            if self._acceptor.trouble is not None:
                await asyncio.to_thread(self._acceptor.probe)

    def _report(self, error: Exception) -> None:
        message = str(error)
        if message != self._trouble:  # once per problem, not per retry
            expected = isinstance(error, StoreError)
            _log.error("%s", message, exc_info=error if not expected else (error.__cause__ or error))
        self._trouble = message

    def _recover(self) -> None:
        if self._trouble is not None:
            _log.info("the product database can be written again")
            self._trouble = None

    def _state(self, depth: int, size: int) -> QueueState:
        if self._stopping:
            return QueueState.STOPPING
        if self._trouble is not None:
            return QueueState.RETRYING
        if depth >= self._limits.max_writes or size >= self._limits.max_bytes:
            return QueueState.FULL
        return QueueState.DRAINING if depth else QueueState.IDLE
