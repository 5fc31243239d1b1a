"""Lets several callers arrive at the journal while it commits for another one: they share the next commit."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from databases import WAIT_SECONDS

from afterwrite.resources.write import Write, WriteRequest
from afterwrite.storage.write_store import Asked, Taken
from afterwrite.writes.queue import NotAcceptedError, Refusal, WriteQueue


class Ticket(NamedTuple):
    """What one caller asks for."""

    requests: Sequence[WriteRequest]
    key: str | None = None


class _Arrivals(list[Any]):
    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Semaphore(0)

    def append(self, item: Any) -> None:
        super().append(item)
        self.seen.release()


def accept_together(queue: WriteQueue, first: Ticket, others: Sequence[Ticket]) -> list[Future[list[Write]]]:
    """Accept ``first`` in a commit of its own and ``others`` together, in this order, in the next one."""
    reached, go, acceptor = threading.Event(), threading.Event(), queue._acceptor
    take = acceptor._take

    def hold_the_commit(asked: Sequence[Asked]) -> list[Taken]:
        acceptor._take = take
        reached.set()
        assert go.wait(WAIT_SECONDS)
        return take(asked)

    acceptor._take = hold_the_commit
    with ThreadPoolExecutor(len(others) + 1) as callers:
        answers = [callers.submit(queue.accept, *first)]
        try:
            assert reached.wait(WAIT_SECONDS)
            arrivals = acceptor._group._open.items = _Arrivals()
            for ticket in others:
                answers.append(callers.submit(queue.accept, *ticket))
                assert arrivals.seen.acquire(timeout=WAIT_SECONDS)
        finally:
            go.set()
    return answers


def count_commits(queue: WriteQueue) -> list[int]:
    """How many requests share each commit from now on; the list grows."""
    acceptor, counts = queue._acceptor, list[int]()
    take = acceptor._take

    def counted(asked: Sequence[Asked]) -> list[Taken]:
        counts.append(len(asked))
        return take(asked)

    acceptor._take = counted
    return counts


def refusals(answers: Sequence[Future[list[Write]]]) -> list[Refusal | None]:
    """Why each request was refused; None when it was accepted."""
    errors = [answer.exception() for answer in answers]
    assert all(error is None or isinstance(error, NotAcceptedError) for error in errors)
    return [error.refusal if isinstance(error, NotAcceptedError) else None for error in errors]
