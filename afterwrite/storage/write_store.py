"""Says what the queue of writes asks of a database: to take writes in, to settle them, to tell how it stands."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from afterwrite.resources.write import Write, WriteFilter, WriteRequest
from afterwrite.storage.ledger import Ledger


class Asked(NamedTuple):
    """A request to accept writes, all or none; ``fingerprint`` tells requests with one key apart."""

    requests: Sequence[WriteRequest]
    by: str | None
    key: str | None
    fingerprint: str
    size_bytes: int


class KeyUse(NamedTuple):
    """What an idempotency key was used for: ``writes`` writes with consecutive ids from ``first_write_id``."""

    key: str
    fingerprint: str
    first_write_id: int
    writes: int


class Full(NamedTuple):
    """No room for a request: what waits already."""

    writes: int
    size_bytes: int


Taken = list[Write] | KeyUse | Full | Exception
"""What became of a request: its accepted writes, what its key was used for before, no room, or why it failed."""


class SettledBatch(NamedTuple):
    """A batch after it was settled: all its writes, and those of them that were not settled before."""

    writes: list[Write]
    fresh: list[Write]


class Standing(NamedTuple):
    """How the writes stand at one moment: what waits, and what was settled.

    The totals count since the catalogue was made. ``trouble`` says why the journal cannot be read or written,
    ``database_trouble`` why nothing can be applied, as far as a look tells.
    """

    depth: int
    size_bytes: int
    oldest_age_ms: int
    applied: int
    failed: int
    trouble: str | None = None
    database_trouble: str | None = None


class WriteStore(Protocol):
    """The journal and the ledger of one database. What is no coroutine may be called from any thread.

    The coroutines are for one caller, the drain. Everything raises StoreError when the database cannot be used.
    """

    ledger: Ledger

    @property
    def drains(self) -> bool:
        """Whether this process is the one that settles writes."""

    def take(self, asked: Sequence[Asked]) -> list[Taken]:
        """Take requests into the journal in one commit, in their order; by one thread at a time.

        When this returns the writes are on disk as promised. A request that was refused holds up no other one.
        Without requests it commits all the same, which tells whether the next commit will work.
        """

    @property
    def last_write_id(self) -> int:
        """The id of the write that was accepted last, as far as it is known here; 0 when there was none."""

    @property
    def depth(self) -> int:
        """How many writes wait, as far as it is known here."""

    def standing(self) -> Standing:
        """How the writes stand now."""

    def knows(self, write_id: int) -> bool:
        """Whether an id is at most the last one that was given out, asked anew where others accept writes too."""

    @property
    def settled_total(self) -> int:
        """How many writes were settled since the catalogue was made, as far as it is known here."""

    def settled_through(self) -> int:
        """The id up to which every write is settled, asked anew where others settle writes too."""

    def find(self, write_id: int) -> Write | None:
        """A write that may still wait: the ledger has the last word."""

    def find_range(self, first: int, count: int) -> list[Write]:
        """Those of ``count`` consecutive writes from id ``first`` that may still wait."""

    def newest(self, wanted: WriteFilter, before: int, limit: int) -> list[Write]:
        """The newest ``limit`` writes that wait, with an id below ``before``, newest first."""

    async def settle_next(self, limit: int) -> SettledBatch | None:
        """Settle the oldest ``limit`` writes that wait, all on disk when this returns; None: there is nothing to do.

        Raises StoreAway, and then nothing of them was applied.
        """

    async def tidy(self, *, quiet: bool) -> None:
        """Do what is to be done beside, a little of it; ``quiet``: no write waits."""

    async def rest(self) -> float | None:
        """Called before the drain rests: for how many seconds at the most, None until it is woken, 0 not at all."""

    async def may_leave(self) -> bool:
        """Whether somebody else settles what waits when this process stops."""

    async def leave(self) -> None:
        """Let go of what the drain holds."""
