"""Limits how many requests a key, or an address, may send in a time."""

import math
import time
from typing import Any

from afterwrite.base.settings import Settings, SettingsError


class RateLimit:
    """How many requests each may send, in a window that slides: no border of minutes lets twice as many through."""

    def __init__(self, text: str) -> None:
        """``text`` such as ``600/minute`` or ``10 per second``. Raises SettingsError."""
        # Imported where a limit is wanted: it takes a tenth of a second, and most servers have none.
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import SlidingWindowCounterRateLimiter

        try:
            self._limit = parse(text)
        except ValueError as error:
            raise SettingsError(
                f"RATE_LIMIT={text!r} is not understood: give a number and a time, such as 600/minute or 10/second",
                setting="RATE_LIMIT",
            ) from error
        if self._limit.amount < 1:
            raise SettingsError(
                f"RATE_LIMIT={text!r} would let no request through: give 1 or more", setting="RATE_LIMIT"
            )
        self._counter: Any = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.text = text

    def seconds_to_wait(self, who: str) -> int:
        """0 if the request may pass, which is counted; else after how many seconds the next one may."""
        if self._counter.hit(self._limit, who):
            return 0
        reset_at: float = self._counter.get_window_stats(self._limit, who).reset_time
        return max(1, math.ceil(reset_at - time.time()))


def rate_limit_of(settings: Settings) -> RateLimit | None:
    """The limit that RATE_LIMIT asks for. Raises SettingsError."""
    return RateLimit(settings.rate_limit) if settings.rate_limit else None
