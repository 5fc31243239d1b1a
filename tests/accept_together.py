"""Lets several callers arrive at the journal while it commits for another one: they share the next commit."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from crash_points import CrashPoints
from in_process import WAIT_SECONDS

from async_db import WriteQueue
from writes import Write, WriteRequest


class Ticket(NamedTuple):
    """What one caller asks for."""

    requests: Sequence[WriteRequest]
    key: str | None = None


class _Arrivals(deque[Any]):
    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Semaphore(0)

    def append(self, item: Any) -> None:
        super().append(item)
        self.seen.release()


def accept_together(
    queue: WriteQueue, points: CrashPoints, first: Ticket, others: Sequence[Ticket]
) -> list[Future[list[Write]]]:
    """Accept ``first`` in a commit of its own and ``others`` together, in this order, in the next one."""
    reached, go = threading.Event(), threading.Event()

    def hold_the_commit() -> None:
        reached.set()
        assert go.wait(WAIT_SECONDS)

    arrivals = queue._acceptor._arrived = _Arrivals()
    points.journal_begins = hold_the_commit
    with ThreadPoolExecutor(len(others) + 1) as callers:
        answers = [callers.submit(queue.accept, *first)]
        try:
            assert reached.wait(WAIT_SECONDS)
            assert arrivals.seen.acquire(timeout=WAIT_SECONDS)
            for ticket in others:
                answers.append(callers.submit(queue.accept, *ticket))
                assert arrivals.seen.acquire(timeout=WAIT_SECONDS)
        finally:
            points.journal_begins = lambda: None
            go.set()
    return answers
