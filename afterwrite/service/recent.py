"""Time series of the last minutes for charts: queue depth, settled writes and their delays."""

import asyncio
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from afterwrite.resources.write import Write

BUCKET_SECONDS = 2
KEPT_SECONDS = 300
_SAMPLED_EVERY_SECONDS = 0.5
_DELAYS_KEPT = 200  # per bucket: enough for p95 within a few per cent, and most batches touch none of them


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket, which began at ``time`` (seconds since 1970) and lasted BUCKET_SECONDS.

    ``depth`` is the maximum number of waiting writes sampled. The delays run from acceptance to settlement; None if
    nothing was settled.
    """

    time: int
    depth: int
    settled_per_second: float
    p50_ms: float | None
    p95_ms: float | None


class RecentFigures:
    """The time series of one process over the last KEPT_SECONDS. Every method is thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` returns seconds since 1970."""
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: deque[_Bucket] = deque(maxlen=KEPT_SECONDS // BUCKET_SECONDS + 1)

    def count_settled(self, writes: Sequence[Write]) -> None:
        """Count a settled batch; only a sample of its writes is inspected."""
        if writes:
            with self._lock:
                self._current().take(writes)

    def sample_depth(self, depth: int) -> None:
        """Record the number of waiting writes."""
        with self._lock:
            bucket = self._current()
            bucket.depth = max(bucket.depth, depth)

    async def watch(self, depth: Callable[[], int]) -> None:
        """Sample the depth until cancelled."""
        while True:
            self.sample_depth(depth())
            await asyncio.sleep(_SAMPLED_EVERY_SECONDS)

    def points(self) -> list[Point]:
        """The completed buckets, oldest first, without gaps; [] in the first seconds."""
        with self._lock:
            number = self._current().number
            known = {bucket.number: bucket.point() for bucket in self._buckets if bucket.number < number}
        return [known.get(at) or _Bucket(at).point() for at in range(min(known, default=number), number)]

    def _current(self) -> "_Bucket":
        """The current bucket; call with the lock held."""
        number = int(self._clock() // BUCKET_SECONDS)
        while self._buckets and self._buckets[0].number < number - KEPT_SECONDS // BUCKET_SECONDS:
            self._buckets.popleft()
        while self._buckets and self._buckets[-1].number > number:  # the clock was set back
            self._buckets.pop()
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(_Bucket(number))
        return self._buckets[-1]


def merged(own: Sequence[Point], others: Sequence[tuple[int, Mapping[str, Any]]]) -> list[Point]:
    """Merge the points of a process with those of others; delays come from the one that settled most.

    ``others`` are pairs of a bucket's start and the fields of its Point. The depth is the same in every process.
    """
    found = {point.time: replace(point, settled_per_second=0.0, p50_ms=None, p95_ms=None) for point in own}
    most: dict[int, float] = {}
    for at, figures in others:
        before = found.get(at, Point(at, 0, 0.0, None, None))
        rate = float(figures["settled_per_second"])
        after = replace(
            before, depth=max(before.depth, figures["depth"]), settled_per_second=before.settled_per_second + rate
        )
        if rate > most.get(at, 0.0):
            most[at] = rate
            after = replace(after, p50_ms=figures["p50_ms"], p95_ms=figures["p95_ms"])
        found[at] = after
    times = range(min(found), max(found) + 1, BUCKET_SECONDS) if found else ()  # without gaps
    return [found.get(at) or Point(at, 0, 0.0, None, None) for at in times]


@dataclass(slots=True, eq=False)
class _Bucket:
    """Counts settled writes and keeps a uniform sample of their delays (reservoir sampling).

    Algorithm L of K.-H. Li, "Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))", 1994: it computes
    how many writes to skip until the next sampled one, so skipped writes cost nothing.
    """

    number: int
    depth: int = 0
    settled: int = 0
    _delays_us: list[int] = field(default_factory=list)
    _threshold: float = 1.0
    _next: int = 0  # the index of the next write to sample in the bucket

    def take(self, writes: Sequence[Write]) -> None:
        """Count a batch and sample its delays."""
        first = self.settled
        self.settled += len(writes)
        while self._next < self.settled:
            write = writes[self._next - first]
            delay_us = (write.settled_at_us or write.accepted_at_us) - write.accepted_at_us
            if len(self._delays_us) < _DELAYS_KEPT:
                self._delays_us.append(delay_us)
            else:
                self._delays_us[random.randrange(_DELAYS_KEPT)] = delay_us  # noqa: S311 - a sample
            self._next += 1 if len(self._delays_us) < _DELAYS_KEPT else self._skip()

    def point(self) -> Point:
        delays_us = sorted(self._delays_us)
        return Point(
            time=self.number * BUCKET_SECONDS,
            depth=self.depth,
            settled_per_second=self.settled / BUCKET_SECONDS,
            p50_ms=_percentile_ms(delays_us, 50),
            p95_ms=_percentile_ms(delays_us, 95),
        )

    def _skip(self) -> int:
        factor = math.exp(math.log(_chance()) / _DELAYS_KEPT)
        self._threshold = min(self._threshold * factor, 1.0 - 2.0**-53)  # 1 would break the logarithm below
        return 1 + int(math.log(_chance()) / math.log1p(-self._threshold))


def _chance() -> float:
    """A random number in (0, 1], safe for a logarithm."""
    return 1.0 - random.random()  # noqa: S311 - a sample


def _percentile_ms(ascending_us: Sequence[int], percent: int) -> float | None:
    """The nearest-rank percentile in milliseconds; None if there are no values."""
    if not ascending_us:
        return None
    return ascending_us[max(0, -(-percent * len(ascending_us) // 100) - 1)] / 1_000
