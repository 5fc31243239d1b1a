"""A lock for work that may take half of a processor, so that a flood of it leaves the other half to other threads."""

from __future__ import annotations

import time
from threading import Event, Lock

_PAUSE_SECONDS_MAX = 1.0


class HalfTime:
    """A lock that is free again after as much time as it was held for.

    Threads that compute hand the interpreter around among all that want it. With one of them at a time, and a pause
    after each, a thread with other work waits little. An idle lock is taken at once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._since = self._free_at = 0.0
        self._never = Event()  # its wait is not interrupted, as a sleep may be where the clock is a changed one

    def __enter__(self) -> None:
        self._lock.acquire()
        self._since = time.monotonic()
        if self._since < self._free_at:
            self._never.wait(min(self._free_at - self._since, _PAUSE_SECONDS_MAX))
            self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        now = time.monotonic()
        self._free_at = now + now - self._since
        self._lock.release()
