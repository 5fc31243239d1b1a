"""The write store of a data folder: an owned journal, and the product database with its ledger."""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from afterwrite.base.limits import WriteLimits
from afterwrite.base.store_errors import StoreError
from afterwrite.base.time_ordered import first_id_of, microseconds_of, next_id
from afterwrite.resources.write import Write, WriteFilter, WriteRequest, WriteStatus, size_bytes
from afterwrite.storage.ledger import Ledger
from afterwrite.storage.records import Records
from afterwrite.storage.retention_clock import RetentionClock
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.storage.sqlite.writer import CatalogueWriter
from afterwrite.storage.write_store import Asked, Full, KeyUse, SettledBatch, Standing, Taken

_BATCHES_FORGOTTEN_AT_ONCE = 4
_INDEX_BATCH = 1_000
_INDEX_LAG_MAX = 2_000  # a scan of this tail takes about a millisecond
_QUIET_SECONDS = 1.0
_PACE_SECONDS = 0.005  # between the starts of two batches
_FEW = 2
_HOUSEKEEPING_SECONDS = 60
_KEYS_PRUNED_AT_ONCE = 1_000


class EmbeddedWrites:
    """The writes of one data folder; see ``WriteStore``."""

    drains = True

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        writer: CatalogueWriter,
        limits: WriteLimits,
        last_record_ids: Mapping[str, int],
    ) -> None:
        """``last_record_ids`` are those of ``last_record_ids_of``."""
        self.ledger, self.settling = ledger, writer.settling
        self._journal, self._writer, self._limits = journal, writer, limits
        last_write_id = ledger.last_id()
        oldest = journal.after(0, 1)
        if oldest and oldest[0].id <= last_write_id:  # settled, but a crash came before the journal dropped it
            journal.append([], [], last_write_id)
            oldest = journal.after(0, 1)
        backlog = journal.backlog()
        self._count_lock, self._forget_lock = threading.Lock(), threading.Lock()
        self._settled: deque[int] = deque()  # last id of each settled batch still in the journal
        self.depth, self._size = backlog.writes, backlog.size_bytes
        self.last_write_id = max(last_write_id, backlog.last_id)
        self._last_record_ids = Counter(last_record_ids)
        self._through = oldest[0].id - 1 if oldest else self.last_write_id
        self._totals, self._must_recount = ledger.totals(), False
        self._index_lag = _INDEX_LAG_MAX  # unknown at the start: check at once
        self._settled_at = self._housekeeping_due = self._next_at = 0.0
        self._retention = RetentionClock("keys")

    # -- accept ---------------------------------------------------------------------------------------------

    def take(self, asked: Sequence[Asked]) -> list[Taken]:
        """Assign ids to the requests that fit, and append them to the journal in one commit."""
        with self._forget_lock:
            if not asked:
                self._journal.probe()
            keys: dict[str, KeyUse] = {}
            taken = [self._admit(one, keys) for one in asked]
            writes = [write for one in taken if isinstance(one, list) for write in one]
            if not writes:
                return taken
            try:
                self._append(writes, keys.values(), self._take_forgotten())
            except Exception as error:  # noqa: BLE001 - every request of this commit gets the error
                sizes = (one.size_bytes for one, of_it in zip(asked, taken, strict=True) if isinstance(of_it, list))
                self._count(-len(writes), -sum(sizes))
                # The use of a key already on disk stands; a use in this commit does not.
                return [one if _stands(one, keys) else error for one in taken]
            return taken

    def _admit(self, asked: Asked, keys: dict[str, KeyUse]) -> Taken:
        if asked.key:
            used = keys.get(asked.key) or self._journal.key_use(asked.key)
            if used is not None:
                return used
        waiting, size = self.depth, self._size
        too_many = waiting + len(asked.requests) > self._limits.max_writes
        if too_many or size + asked.size_bytes > self._limits.max_bytes:
            return Full(waiting, size)
        writes = self._number(asked.requests, asked.by)
        self._count(len(writes), asked.size_bytes)
        if asked.key and writes:
            keys[asked.key] = KeyUse(asked.key, asked.fingerprint, writes[0].id, len(writes))
        return writes

    def _number(self, requests: Sequence[WriteRequest], by: str | None) -> list[Write]:
        now = time.time_ns() // 1000
        writes = []
        for request in requests:
            self.last_write_id = next_id(self.last_write_id, now)
            resource, operation, record_id, arguments, retry_of, _, if_version = request
            if record_id is None:
                record_id = self._last_record_ids[resource] + 1
                self._last_record_ids[resource] = record_id
            number = self.last_write_id
            writes.append(Write(number, resource, operation, record_id, arguments, now, retry_of, by, if_version))
        return writes

    def _count(self, writes: int, size: int) -> None:
        with self._count_lock:
            self.depth += writes
            self._size += size

    def _append(self, writes: Sequence[Write], keys: Iterable[KeyUse], forgotten: Sequence[int]) -> None:
        try:
            self._journal.append(writes, keys, forgotten[-1] if forgotten else 0)
        except BaseException:
            self._settled.extendleft(reversed(forgotten))  # drop them with the next commit
            raise

    def _take_forgotten(self) -> list[int]:
        """The oldest batches to drop, few enough not to delay the commit that drops them."""
        count = min(len(self._settled), _BATCHES_FORGOTTEN_AT_ONCE)
        return [self._settled.popleft() for _ in range(count)]

    # -- state ----------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """The current snapshot; works whatever the state of the files."""
        depth, trouble, oldest = self.depth, None, list[Write]()
        try:
            self._journal.check_file()
            oldest = self._journal.after(self._through, 1) if depth else []
        except StoreError as error:
            trouble = str(error)
        age_us = time.time_ns() // 1000 - oldest[0].accepted_at_us if oldest else 0
        applied, failed = (self._totals[status] for status in (WriteStatus.APPLIED, WriteStatus.FAILED))
        age_ms = max(0, age_us // 1000)
        return Standing(depth, self._size, age_ms, applied, failed, trouble, self._writer.trouble())

    def knows(self, write_id: int) -> bool:
        return write_id <= self.last_write_id

    @property
    def settled_total(self) -> int:
        return sum(self._totals.values())

    def settled_through(self) -> int:
        return self._through

    def find(self, write_id: int) -> Write | None:
        return self._journal.find(write_id)

    def find_range(self, first: int, count: int) -> list[Write]:
        return self._journal.find_range(first, count)

    def newest(self, wanted: WriteFilter, before: int, limit: int) -> list[Write]:
        return self._journal.newest(wanted, before, self._through, limit)

    # -- drain ----------------------------------------------------------------------------------------------

    async def settle_next(self, limit: int) -> SettledBatch | None:
        """Settle the oldest writes of the journal, which drops them in one of its next commits."""
        await asyncio.sleep(self._next_at - time.monotonic())
        begun = time.monotonic()
        try:
            settled = await self._writer.settle(partial(self._journal.after, self._through, limit))
        except StoreError:
            self._must_recount = True  # it may be committed although it reported an error
            raise
        if settled is None:
            return None
        # Many callers at once: let their next writes gather. A full batch has more behind it, one caller waits for it.
        self._next_at = begun + _PACE_SECONDS if _FEW < len(settled.writes) < limit else begun
        self._note_settled(settled)
        if self._must_recount:
            self._totals, self._must_recount = await asyncio.to_thread(self.ledger.totals), False
        return settled

    def _note_settled(self, settled: SettledBatch) -> None:
        writes = settled.writes
        self._count(-len(writes), -sum(size_bytes(write.arguments) for write in writes))
        self._settled.append(writes[-1].id)
        self._through, self._settled_at = writes[-1].id, time.monotonic()
        for write in settled.fresh:
            self._totals[write.status] += 1
        self._index_lag += len(settled.fresh)

    def _forget_settled(self) -> None:
        """Drop settled writes from the journal now, when no commit is due."""
        while self._settled:
            with self._forget_lock:  # released after each part, so that requests get in between
                forgotten = self._take_forgotten()
                if forgotten:
                    self._append([], [], forgotten)

    async def tidy(self, *, quiet: bool) -> None:
        """Drop settled writes from the journal, prune keys, update the search index."""
        if quiet or len(self._settled) > _BATCHES_FORGOTTEN_AT_ONCE:  # no commit did it
            await asyncio.to_thread(self._forget_settled)
        if quiet:
            await self._keep_house()
        is_quiet = quiet and time.monotonic() - self._settled_at >= _QUIET_SECONDS
        if self._index_lag >= _INDEX_LAG_MAX or (self._index_lag and is_quiet):
            followed = await self._writer.index_some(_INDEX_BATCH)
            # A full batch means that there is more: index the next one after the next batch of writes.
            self._index_lag = _INDEX_LAG_MAX if followed == _INDEX_BATCH else 0

    async def _keep_house(self) -> None:
        if time.monotonic() < self._housekeeping_due:
            return
        pruned = await asyncio.to_thread(self._prune_keys)
        if pruned < _KEYS_PRUNED_AT_ONCE:
            self._housekeeping_due = time.monotonic() + _HOUSEKEEPING_SECONDS

    def _prune_keys(self) -> int:
        """Delete some expired idempotency keys; return their number."""
        clock, oldest = self._retention, self._journal.oldest_key()
        oldest_us = None if oldest is None else microseconds_of(oldest)
        reading = clock.read(self._journal.remembered(clock.key), time.time_ns() // 1000, oldest_us)
        before = first_id_of(max(0, reading.time_us - int(self._limits.idempotency_seconds * 1_000_000)))
        pruned = self._journal.prune_keys(before, _KEYS_PRUNED_AT_ONCE, (clock.key, reading.kept))
        clock.learn(reading)
        return pruned

    def relayed(self, write_id: int) -> None:
        self._writer.relayed_through = write_id

    async def rest(self) -> float | None:
        """Check the journal once more; from now on, accepting a write wakes the drain."""
        if self._index_lag >= _INDEX_LAG_MAX:
            return 0.0
        if await asyncio.to_thread(self._journal.after, self._through, 1):
            return 0.0
        return _QUIET_SECONDS if self._index_lag else None  # after that, the search index catches up

    async def may_leave(self) -> bool:
        """False: the folder has one owner."""
        return False

    async def leave(self) -> None:
        """Close the writer."""
        await self._writer.close()
        await asyncio.to_thread(self._forget_settled)


def last_record_ids_of(journal: Journal, ledger: Ledger, records: Mapping[str, Records]) -> Counter[str]:
    """The largest id that was ever given to a record of each resource."""
    waiting = journal.last_record_ids()
    return Counter(
        {name: max(one.last_id(), ledger.last_record_id(name), waiting.get(name, 0)) for name, one in records.items()}
    )


def _stands(taken: Taken, keys: Mapping[str, KeyUse]) -> bool:
    return isinstance(taken, Full) or (isinstance(taken, KeyUse) and taken.key not in keys)
