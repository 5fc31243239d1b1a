"""Limits how many may do something at the same time, all together and each of them."""

from threading import Lock


class AtOnce:
    """Places that are taken without waiting and given back; may be used from any number of threads."""

    def __init__(self, most: int, most_each: int) -> None:
        """``most``: places in all; ``most_each``: those that one caller gets."""
        self._most, self._most_each = most, most_each
        self._taken: dict[str, int] = {}
        self._turn = Lock()

    def take(self, who: str) -> bool:
        """Whether there was a place for this caller; then each ``take`` needs one ``give_back``."""
        with self._turn:
            taken = self._taken.get(who, 0)
            if taken >= self._most_each or sum(self._taken.values()) >= self._most:
                return False
            self._taken[who] = taken + 1
            return True

    def give_back(self, who: str) -> None:
        """Free the place again."""
        with self._turn:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
