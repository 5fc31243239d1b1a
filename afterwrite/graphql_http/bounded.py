"""Remembers the values that were used last, within a number of entries and of characters."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedStore(Generic[T]):
    """A least-recently-used cache with text as keys, for any number of threads.

    Args:
        max_entries: entries that are kept.
        max_chars: characters that all kept entries may have together.
        max_chars_each: characters that one entry may have; a longer one is not kept.
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
        """Returns the value of `key`, which counts as used now, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def keep(self, key: str, value: T, chars: int) -> None:
        """Keeps `value`, whose entry counts as `chars`, and drops what was not used for longest.

        A key that is there keeps its value.
        """
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
