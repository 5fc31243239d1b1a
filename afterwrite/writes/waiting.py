"""Waits for writes to settle, with a limit on the number of waiters."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from afterwrite.resources.write import Write


@dataclass(slots=True, eq=False)
class _Waiter:
    counted: bool
    event: threading.Event
    write: Write | None = None


class Waiters:
    """The waiters for unsettled writes. Writes settle in id order, so one number says which are settled."""

    def __init__(self, settled_through: int, most: int) -> None:
        self.settled_through = settled_through
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[int, list[_Waiter]] = {}
        self._counted = 0

    def wait(self, write_id: int, timeout_seconds: float, *, counted: bool) -> Write | None:
        """Wait until a write is settled and return it.

        None: it was settled before, on timeout, or, with ``counted``, if the limit of waiters is reached.
        """
        with self._lock:
            if write_id <= self.settled_through or (counted and self._counted >= self._most):
                return None
            waiter = _Waiter(counted, threading.Event())
            self._waiting.setdefault(write_id, []).append(waiter)
            self._counted += counted
        waiter.event.wait(timeout_seconds)
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
                    waiter.event.set()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def _wake_settled(self, by_id: Mapping[int, Write]) -> None:
        for write_id in [number for number in self._waiting if number <= self.settled_through]:
            for waiter in self._waiting[write_id]:
                waiter.write = waiter.write or by_id.get(write_id)
                waiter.event.set()

    def _leave(self, write_id: int, waiter: _Waiter) -> None:
        with self._lock:
            self._counted -= waiter.counted
            self._waiting[write_id].remove(waiter)
            if not self._waiting[write_id]:
                del self._waiting[write_id]
