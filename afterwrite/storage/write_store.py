"""The interface of a write store: a journal and a ledger in one database."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from afterwrite.resources.write import Write, WriteFilter, WriteRequest
from afterwrite.storage.ledger import Ledger
from afterwrite.storage.settling import Settling


class Asked(NamedTuple):
    """A request to accept writes, all or none; ``fingerprint`` identifies it for idempotency."""

    requests: Sequence[WriteRequest]
    by: str | None
    key: str | None
    fingerprint: str
    size_bytes: int


class KeyUse(NamedTuple):
    """The use of an idempotency key: ``writes`` writes with consecutive ids from ``first_write_id``."""

    key: str
    fingerprint: str
    first_write_id: int
    writes: int


class Full(NamedTuple):
    """The queue has no room for the request; the size of the backlog."""

    writes: int
    size_bytes: int


Taken = list[Write] | KeyUse | Full | Exception
"""The outcome of a request: its writes, the earlier use of its key, a full queue, or an error."""


class SettledBatch(NamedTuple):
    """A settled batch, or the first of its writes: all of these, and those that were not settled before."""

    writes: list[Write]
    fresh: list[Write]


class Standing(NamedTuple):
    """A snapshot of the backlog and the totals, which count from the creation of the catalogue.

    ``trouble`` says why the journal cannot be read or written, ``database_trouble`` why nothing can be applied, as far
    as a check without a write can tell.
    """

    depth: int
    size_bytes: int
    oldest_age_ms: int
    applied: int
    failed: int
    trouble: str | None = None
    database_trouble: str | None = None


class WriteStore(Protocol):
    """The journal and the ledger of one database. Plain methods are thread-safe; coroutines are for the drain only.

    Everything raises StoreError if the database cannot be used.
    """

    ledger: Ledger
    settling: Settling
    last_write_id: int
    """The id of the last accepted write known in this process; 0 if there is none."""
    depth: int
    """The number of queued writes known in this process."""

    @property
    def drains(self) -> bool:
        """Whether this process settles the writes."""

    def take(self, asked: Sequence[Asked]) -> list[Taken]:
        """Append requests to the journal in one commit, in order; from one thread at a time.

        The writes are then on disk. A refused request does not affect the others. An empty sequence still commits, to
        test whether commits work.
        """

    def standing(self) -> Standing:
        """The current snapshot."""

    def knows(self, write_id: int) -> bool:
        """Whether an id was assigned already; queries the database if other processes accept writes too."""

    @property
    def settled_total(self) -> int:
        """The number of writes ever settled, known in this process."""

    def settled_through(self) -> int:
        """The id up to which every write is settled; queries the database if other processes settle writes too."""

    def find(self, write_id: int) -> Write | None:
        """A write of the journal; the ledger may have it already."""

    def find_range(self, first: int, count: int) -> list[Write]:
        """The journal's writes among ``count`` consecutive ids from ``first``."""

    def newest(self, wanted: WriteFilter, before: int, limit: int) -> list[Write]:
        """The newest ``limit`` queued writes with an id below ``before``, newest first."""

    async def settle_next(self, limit: int) -> SettledBatch | None:
        """Settle the oldest ``limit`` queued writes, on disk when this returns; None if there is nothing to do.

        Raises StoreAway; then none was applied.
        """

    async def tidy(self, *, quiet: bool) -> None:
        """Do a little housekeeping; ``quiet``: no write is queued."""

    def relayed(self, write_id: int) -> None:
        """Let the tasks be dropped that writes up to this id made: the task queue has them."""

    async def rest(self) -> float | None:
        """How many seconds the drain may rest at most; None: until it is woken, 0: not at all."""

    async def may_leave(self) -> bool:
        """Whether another process will settle the backlog if this one stops."""

    async def leave(self) -> None:
        """Release what the drain holds."""
