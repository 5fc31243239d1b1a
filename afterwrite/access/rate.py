"""Rate limit per key or address."""

import math
import time
from typing import Any

from afterwrite.base.settings import Settings, SettingsError


class RateLimit:
    """A sliding-window rate limit, so no burst of twice the limit passes at a window's border."""

    def __init__(self, text: str) -> None:
        """``text`` such as ``600/minute`` or ``10 per second``. Raises SettingsError."""
        # Imported on use: it takes a tenth of a second, and most servers have no limit.
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

    def seconds_to_wait(self, holder: str) -> int:
        """Count a request of this key or address: 0 if it may pass, else the seconds until the next one may."""
        if self._counter.hit(self._limit, holder):
            return 0
        reset_at: float = self._counter.get_window_stats(self._limit, holder).reset_time
        return max(1, math.ceil(reset_at - time.time()))


def rate_limit_of(settings: Settings) -> RateLimit | None:
    """The limit that RATE_LIMIT sets. Raises SettingsError."""
    return RateLimit(settings.rate_limit) if settings.rate_limit else None
