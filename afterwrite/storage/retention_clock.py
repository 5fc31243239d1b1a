"""Measures how old records are, so that a clock that is set wrong deletes nothing at once."""

import time
from collections.abc import Callable
from typing import NamedTuple

_MOST_TIMES_FASTER = 10


class Look(NamedTuple):
    """What time it is by a clock of retention, in microseconds since 1970, and what the database is to keep of it."""

    time_us: int
    kept: str


class RetentionClock:
    """The time by which records of one kind become too old; the database keeps it under ``key``, for every process.

    It follows the real time, up to ten times as fast as the monotonic clock. So when the real clock jumps ahead, or
    records were made while it was set back, a record is still kept for a tenth of its time. The clock is never
    behind the oldest record, which then has its whole time left. When a record appears that is older than the
    oldest one at the last look, the real clock was wrong when that record was made, and this clock goes back to it.
    """

    def __init__(self, kind: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """``monotonic`` gives the seconds of a clock that cannot be set."""
        self.key = f"retention_clock_of_{kind}"
        self._monotonic = monotonic
        self._known: tuple[int, float] | None = None

    def look(self, kept: str | None, real_us: int, oldest_us: int | None) -> Look:
        """What time it is by this clock.

        ``kept`` is what the database keeps, ``real_us`` its own time, ``oldest_us`` that of the oldest record, or None
        where there is none.
        """
        earliest = time_us = real_us if oldest_us is None else oldest_us
        if kept is not None:
            kept_us, earliest_before = _kept_times(kept)
            if earliest >= earliest_before:
                time_us = max(earliest, self._advanced(kept_us))
        time_us = min(real_us, time_us)
        return Look(time_us, f"{time_us} {earliest}")

    def learn(self, look: Look) -> None:
        """Take note of what the database keeps now, after it was committed."""
        self._known = (look.time_us, self._monotonic())

    def _advanced(self, kept_us: int) -> int:
        if self._known is None or kept_us < self._known[0]:  # set back meanwhile, by another process
            return kept_us
        known_us, at = self._known
        # From what this process knew: others have advanced it too, in the same time.
        return max(kept_us, known_us + int((self._monotonic() - at) * _MOST_TIMES_FASTER * 1_000_000))


def _kept_times(kept: str) -> tuple[int, int]:
    """The time, and that of the oldest record; they were one before the second was kept."""
    times = [int(time) for time in kept.split()]
    return times[0], times[-1]
