"""The lock around the reading of unknown documents."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier

import pytest

from afterwrite.graphql_http.half_time import HalfTime

HELD_SECONDS = 0.02


def _hold(lock: HalfTime, all_here: Barrier) -> tuple[float, float]:
    all_here.wait(30)
    with lock:
        begin = time.monotonic()
        while time.monotonic() < begin + HELD_SECONDS:
            pass  # computes, as reading does
        return begin, time.monotonic()


def test_one_thread_holds_it_at_a_time_and_nobody_for_as_long_afterwards() -> None:
    lock, all_here = HalfTime(), Barrier(5)
    with ThreadPoolExecutor(5) as pool:
        held = sorted(future.result(30) for future in [pool.submit(_hold, lock, all_here) for _ in range(5)])
    for (begin, end), (following, _) in pairwise(held):
        assert following >= end + (end - begin) * 0.99


def test_it_is_free_after_an_error() -> None:
    lock = HalfTime()
    with pytest.raises(ValueError, match="wrong"), lock:
        raise ValueError("wrong")
    assert lock._lock.acquire(blocking=False)
