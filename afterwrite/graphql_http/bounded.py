"""A least-recently-used cache bounded by entries and by characters."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedStore(Generic[T]):
    """A thread-safe LRU cache with strings as keys.

    Args:
        max_entries: maximum number of entries.
        max_chars: maximum characters of all entries together.
        max_chars_each: maximum characters of one entry; a longer one is not cached.
    """

    def __init__(self, max_entries: int, *, max_chars: int, max_chars_each: int) -> None:
        self._max_entries = max_entries
        self._max_chars = max_chars
        self._max_chars_each = max_chars_each
        self._entries: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._chars = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> T | None:
        """Returns the value of `key` and marks it as used, or returns None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def keep(self, key: str, value: T, chars: int) -> None:
        """Caches `value`, counted as `chars`, and evicts the least recently used; a cached key keeps its value."""
        if chars > self._max_chars_each:
            return
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = (value, chars)
            self._chars += chars
            while self._chars > self._max_chars or len(self._entries) > self._max_entries:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._chars -= dropped
