"""Waits for writes to settle, with a limit on the number of waiters."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from afterwrite.base.background import Signal
from afterwrite.resources.write import Write


@dataclass(slots=True, eq=False)
class _Waiter:
    counted: bool
    wake: Callable[[], None]
    write: Write | None = None


class Waiters:
    """The waiters for unsettled writes. Writes settle in id order, so one number says which are settled."""

    def __init__(self, settled_through: int, most: int) -> None:
        self.settled_through = settled_through
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[int, list[_Waiter]] = {}
        self._ids: list[int] = []  # a heap of every id in `_waiting`, and of unsettled ones that were there
        self._known_ids: set[int] = set()
        self._counted = 0

    def wait(self, write_id: int, timeout_seconds: float) -> Write | None:
        """Wait until a write is settled and return it.

        None: it was settled before, on timeout, or if the limit of waiters is reached.
        """
        event = threading.Event()
        waiter = _Waiter(counted=True, wake=event.set)
        if not self._join(write_id, waiter):
            return None
        event.wait(timeout_seconds)
        self._leave(write_id, waiter)
        return waiter.write

    async def watch(self, write_id: int, timeout_seconds: float) -> Write | None:
        """As ``wait``, on the loop and without the limit."""
        signal = Signal()
        waiter = _Waiter(counted=False, wake=signal.set)
        if not self._join(write_id, waiter):
            return None
        try:
            await signal.wait(timeout_seconds)
        finally:
            self._leave(write_id, waiter)
        return waiter.write

    def release(self, settled: Sequence[Write]) -> None:
        """Wake all who wait for these writes or older ones."""
        by_id = {write.id: write for write in settled}
        with self._lock:
            self.settled_through = max(self.settled_through, settled[-1].id)
            self._wake_settled(by_id)

    def advance(self, settled_through: int) -> None:
        """Wake all who wait for writes up to this id, which another process settled; they read them from the ledger."""
        with self._lock:
            self.settled_through = max(self.settled_through, settled_through)
            self._wake_settled({})

    def wake_watchers(self) -> None:
        """Wake uncounted waiters, which have no deadline, without a write: the server is stopping."""
        with self._lock:
            for waiter in [waiter for waiters in self._waiting.values() for waiter in waiters]:
                if not waiter.counted:
                    waiter.wake()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def _join(self, write_id: int, waiter: _Waiter) -> bool:
        with self._lock:
            if write_id <= self.settled_through or (waiter.counted and self._counted >= self._most):
                return False
            if write_id not in self._known_ids:
                self._known_ids.add(write_id)
                heappush(self._ids, write_id)
            self._waiting.setdefault(write_id, []).append(waiter)
            self._counted += waiter.counted
            return True

    def _wake_settled(self, by_id: Mapping[int, Write]) -> None:
        while self._ids and self._ids[0] <= self.settled_through:
            write_id = heappop(self._ids)
            self._known_ids.discard(write_id)
            for waiter in self._waiting.get(write_id, ()):
                waiter.write = waiter.write or by_id.get(write_id)
                waiter.wake()

    def _leave(self, write_id: int, waiter: _Waiter) -> None:
        with self._lock:
            self._counted -= waiter.counted
            self._waiting[write_id].remove(waiter)
            if not self._waiting[write_id]:
                del self._waiting[write_id]
