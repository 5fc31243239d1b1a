"""Puts accepted writes into the journal: numbered, within limits, many requests in one commit."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from database.journal import Journal, KeyUse, size_bytes
from database.schema import StoreError
from time_ordered import first_id_of
from writes import Operation, Write, WriteRequest

_BATCHES_FORGOTTEN_AT_ONCE = 4


class Refusal(StrEnum):
    """Why a request was not accepted."""

    QUEUE_FULL = "QUEUE_FULL"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    JOURNAL_UNWRITABLE = "JOURNAL_UNWRITABLE"


class NotAcceptedError(Exception):
    """A request of which nothing was accepted: why, and a message that says what to do."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal, self.message = refusal, message


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may wait."""

    max_writes: int
    max_bytes: int


@dataclass(slots=True, eq=False)
class _Ticket:
    """One request on its way into the journal, and what came of it."""

    requests: Sequence[WriteRequest]
    by: str | None
    size: int
    key: str | None
    fingerprint: str
    done: bool = False
    writes: list[Write] = field(default_factory=list)
    replayed: KeyUse | None = None
    error: Exception | None = None


class Acceptor:
    """The way into the journal. Callers from any thread share commits: who has the lock takes all that wait."""

    def __init__(self, journal: Journal, limits: Limits, last_write_id: int, last_product_id: int) -> None:
        backlog = journal.backlog()
        self._journal = journal
        self._limits = limits
        self._arrived: deque[_Ticket] = deque()
        self._lock = threading.Lock()
        self._depth_lock = threading.Lock()
        self._closed = False
        self._settled: deque[int] = deque()  # the last id of each settled batch that is still in the journal
        self.trouble: str | None = None  # why the last commit failed
        self.depth = backlog.writes
        self.size = backlog.size_bytes
        self.last_write_id = max(last_write_id, backlog.last_id)
        self._last_product_id = max(last_product_id, backlog.last_product_id)

    def accept(
        self, requests: Sequence[WriteRequest], key: str | None, by: str | None
    ) -> list[Write] | KeyUse:
        """Journal the requests of the caller ``by`` in one commit, in their order, all or none; returns their writes.

        Returns what the key was used for when the same request was accepted with it before. Raises
        NotAcceptedError. When this returns the writes are on disk as JOURNAL_SYNC promises.
        """
        ticket = _Ticket(
            requests,
            by,
            sum(size_bytes(request.arguments) for request in requests),
            key,
            _fingerprint(requests) if key else "",
        )
        self._arrived.append(ticket)
        with self._lock:
            if not ticket.done:
                self._commit(self._take_arrived())
        if ticket.error is not None:
            raise ticket.error
        return ticket.replayed or ticket.writes

    def close(self) -> None:
        """Refuse from now on; when this returns no write is on its way into the journal."""
        with self._lock:
            self._closed = True

    def settled(self, writes: Sequence[Write]) -> None:
        """Take a settled batch out of the count; the journal drops it with one of its next commits."""
        with self._depth_lock:
            self.depth -= len(writes)
            self.size -= sum(size_bytes(write.arguments) for write in writes)
        self._settled.append(writes[-1].id)

    @property
    def has_much_to_forget(self) -> bool:
        """Whether settled writes wait to be dropped that would hold up a commit."""
        return len(self._settled) > _BATCHES_FORGOTTEN_AT_ONCE

    def forget_settled(self) -> None:
        """Drop settled writes from the journal now; for times when no commit comes along. Raises StoreError."""
        while self._settled:
            with self._lock:  # for one part at a time: requests come in between
                forgotten = self._take_forgotten()
                if forgotten:
                    self._append([], [], forgotten)

    def _take_arrived(self) -> list[_Ticket]:
        tickets = []
        while self._arrived:
            tickets.append(self._arrived.popleft())
        return tickets

    def _commit(self, tickets: list[_Ticket]) -> None:
        """Called with the lock held, so that numbers are given in the order of the journal."""
        keys: dict[str, KeyUse] = {}
        for ticket in tickets:
            ticket.done = True
            try:
                self._admit(ticket, keys)
            except Exception as error:  # noqa: BLE001 - it is this ticket's answer, and no other's
                ticket.error = _refused(error) if isinstance(error, StoreError) else error
        writes = [write for ticket in tickets for write in ticket.writes]
        if not writes:
            return
        try:
            self._append(writes, keys.values(), self._take_forgotten())
        except Exception as error:  # noqa: BLE001 - every request of this commit is told, whatever it was
            for ticket in tickets:
                # A replay of a key that is on disk already stands; one of this very commit does not.
                if ticket.writes or (ticket.replayed and ticket.replayed.key in keys):
                    ticket.error = _refused(error) if isinstance(error, StoreError) else error
            self._count(-len(writes), -sum(ticket.size for ticket in tickets if ticket.writes))

    def _admit(self, ticket: _Ticket, keys: dict[str, KeyUse]) -> None:
        if self._closed:
            raise NotAcceptedError(
                Refusal.SHUTTING_DOWN,
                "The server is shutting down and accepts no writes: send this again shortly",
            )
        if ticket.key:
            used = keys.get(ticket.key) or self._journal.key_use(ticket.key)
            if used is not None:
                _check_same(ticket, used)
                ticket.replayed = used
                return
        self._check_room(ticket)
        ticket.writes = self._number(ticket.requests, ticket.by)
        self._count(len(ticket.writes), ticket.size)
        if ticket.key and ticket.writes:
            keys[ticket.key] = KeyUse(ticket.key, ticket.fingerprint, ticket.writes[0].id, len(ticket.writes))

    def _check_room(self, ticket: _Ticket) -> None:
        waiting, size, limits = self.depth, self.size, self._limits
        if waiting + len(ticket.requests) > limits.max_writes or size + ticket.size > limits.max_bytes:
            raise NotAcceptedError(
                Refusal.QUEUE_FULL,
                f"The queue is full: {waiting:,} writes of {size:,} bytes wait, {limits.max_writes:,} writes and "
                f"{limits.max_bytes:,} bytes are the limits. Nothing was accepted; send this again later",
            )

    def _number(self, requests: Sequence[WriteRequest], by: str | None) -> list[Write]:
        now = time.time_ns() // 1000
        self.last_write_id = max(self.last_write_id, first_id_of(now) - 1)
        writes = []
        for request in requests:
            self.last_write_id += 1
            product_id = request.product_id
            if product_id is None:
                if request.operation != Operation.CREATE:
                    raise ValueError(f"{request.operation} needs a product id")
                self._last_product_id += 1
                product_id = self._last_product_id
            writes.append(
                Write(
                    self.last_write_id,
                    request.operation.value,
                    product_id,
                    request.arguments,
                    now,
                    request.retry_of,
                    by,
                )
            )
        return writes

    def _count(self, writes: int, size: int) -> None:
        with self._depth_lock:
            self.depth += writes
            self.size += size

    def _append(self, writes: Sequence[Write], keys: Iterable[KeyUse], forgotten: Sequence[int]) -> None:
        try:
            self._journal.append(writes, keys, forgotten[-1] if forgotten else 0)
        except Exception as error:
            self._settled.extendleft(reversed(forgotten))  # for the next commit
            self.trouble = str(error)
            raise
        self.trouble = None

    def _take_forgotten(self) -> list[int]:
        """The oldest batches to drop: no more than a commit does in passing, or it would hold up all others."""
        count = min(len(self._settled), _BATCHES_FORGOTTEN_AT_ONCE)
        return [self._settled.popleft() for _ in range(count)]


def _refused(error: StoreError) -> NotAcceptedError:
    refused = NotAcceptedError(Refusal.JOURNAL_UNWRITABLE, str(error))
    refused.__cause__ = error
    return refused


def _fingerprint(requests: Sequence[WriteRequest]) -> str:
    digest = hashlib.sha256()
    for request in requests:
        digest.update(f"{request.operation}\0{request.product_id}\0{request.retry_of}\0".encode())
        digest.update(f"{request.arguments}\0".encode())
    return digest.hexdigest()


def _check_same(ticket: _Ticket, used: KeyUse) -> None:
    if used.fingerprint != ticket.fingerprint:
        raise NotAcceptedError(
            Refusal.IDEMPOTENCY_KEY_REUSED,
            f"The idempotency key {used.key!r} was used for other arguments (write {used.first_write_id}): "
            "use a new key for a new request",
        )
