"""A cache bounded by entries and by characters, which a flood of keys that are used once does not empty."""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

_SMALL_SHARE = 10
_MAX_USES = 3


class BoundedStore(Generic[T]):
    """A thread-safe cache with strings as keys. It evicts by S3-FIFO (Yang et al., SOSP 2023).

    A new key enters a small queue, a tenth of the cache, and moves to the main queue if it is used before it leaves
    the small one. A key that comes again soon after it was evicted enters the main queue. So keys used once only drive
    each other out. A hit takes no lock.

    Args:
        max_entries: maximum number of entries.
        max_chars: maximum characters of all entries together.
        max_chars_each: maximum characters of one entry; a longer one is not cached.
    """

    def __init__(self, max_entries: int, *, max_chars: int, max_chars_each: int) -> None:
        self._max_entries = max_entries
        self._max_chars = max_chars
        self._max_chars_each = max_chars_each
        self._entries: dict[str, _Entry[T]] = {}
        self._chars = self._small_chars = 0
        self._small: deque[str] = deque()
        self._main: deque[str] = deque()
        self._evicted: OrderedDict[int, None] = OrderedDict()  # hashes of keys
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> T | None:
        """Returns the value of `key` and marks it as used, or returns None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.uses < _MAX_USES:
            entry.uses += 1
        return entry.value

    def keep(self, key: str, value: T, chars: int) -> None:
        """Caches `value`, counted as `chars`, and evicts others; a cached key keeps its value."""
        if chars > self._max_chars_each:
            return
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = _Entry(value, chars)
            self._chars += chars
            if hash(key) in self._evicted:
                del self._evicted[hash(key)]
                self._main.append(key)
            else:
                self._small.append(key)
                self._small_chars += chars
            while self._chars > self._max_chars or len(self._entries) > self._max_entries:
                self._evict()

    def _evict(self) -> None:
        """Drops the oldest entry of the queue that is too long, or gives it another round if it was used."""
        if not self._main or self._is_small_full():
            key = self._small.popleft()
            entry = self._entries[key]
            self._small_chars -= entry.chars
            if entry.uses:
                self._main.append(key)
                return
            self._remember_evicted(key)
        else:
            key = self._main.popleft()
            entry = self._entries[key]
            if entry.uses:
                entry.uses -= 1
                self._main.append(key)
                return
        del self._entries[key]
        self._chars -= entry.chars

    def _is_small_full(self) -> bool:
        too_many = len(self._small) > self._max_entries // _SMALL_SHARE
        return too_many or self._small_chars > self._max_chars // _SMALL_SHARE

    def _remember_evicted(self, key: str) -> None:
        self._evicted[hash(key)] = None
        if len(self._evicted) > self._max_entries:
            self._evicted.popitem(last=False)


class _Entry(Generic[T]):
    __slots__ = ("chars", "uses", "value")

    def __init__(self, value: T, chars: int) -> None:
        self.value = value
        self.chars = chars
        self.uses = 0
