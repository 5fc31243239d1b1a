"""A clock for retention: a wrongly set system clock must not expire records early."""

import time
from collections.abc import Callable
from typing import NamedTuple

_MOST_TIMES_FASTER = 10


class Reading(NamedTuple):
    """The retention time in microseconds since 1970, and the state to store in the database."""

    time_us: int
    kept: str


class RetentionClock:
    """The clock by which records of one kind expire; its state is in the database under ``key``, for all processes.

    It follows the real time, at most ten times as fast as the monotonic clock. So if the real clock jumps ahead, or was
    set back when records were made, a record still lives for a tenth of its time. The clock is never behind the oldest
    record, which then has its whole time left. A record older than the oldest one at the last reading was made while
    the real clock was wrong, and this clock goes back to it.
    """

    def __init__(self, kind: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """``monotonic`` returns seconds."""
        self.key = f"retention_clock_of_{kind}"
        self._monotonic = monotonic
        self._known: tuple[int, float] | None = None

    def read(self, kept: str | None, real_us: int, oldest_us: int | None) -> Reading:
        """Read the clock from its stored state, the database's time and the time of the oldest record, if any."""
        earliest = time_us = real_us if oldest_us is None else oldest_us
        if kept is not None:
            kept_us, earliest_before = _kept_times(kept)
            if earliest >= earliest_before:
                time_us = max(earliest, self._advanced(kept_us))
        time_us = min(real_us, time_us)
        return Reading(time_us, f"{time_us} {earliest}")

    def learn(self, reading: Reading) -> None:
        """Remember the stored state after its commit."""
        self._known = (reading.time_us, self._monotonic())

    def _advanced(self, kept_us: int) -> int:
        if self._known is None or kept_us < self._known[0]:  # set back by another process
            return kept_us
        known_us, at = self._known
        # Based on what this process knew: others have advanced the clock for the same period.
        return max(kept_us, known_us + int((self._monotonic() - at) * _MOST_TIMES_FASTER * 1_000_000))


def _kept_times(kept: str) -> tuple[int, int]:
    """The time, and the oldest record's; earlier versions stored a single number for both."""
    times = [int(time) for time in kept.split()]
    return times[0], times[-1]
