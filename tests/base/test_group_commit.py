"""Group commit: who waits shares a commit, in the order of arrival; each caller gets what is its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from server_process import wait_until

from afterwrite.base.group_commit import GroupCommit

WAIT_SECONDS = 30
Outcome = int | BaseException


class Doubling:
    """Doubles numbers, notes its batches, and stands still in the first one until it is let go."""

    def __init__(self, commit: Callable[[Sequence[int]], Sequence[Outcome]] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.group: GroupCommit[int, int] = GroupCommit(self._commit)
        self._commit_of_it = commit or (lambda numbers: [2 * number for number in numbers])
        self._reached, self._go = threading.Event(), threading.Event()

    def _commit(self, numbers: Sequence[int]) -> Sequence[Outcome]:
        self.batches.append(list(numbers))
        if len(self.batches) == 1:
            self._reached.set()
            assert self._go.wait(WAIT_SECONDS)
        return self._commit_of_it(numbers)

    def together(self, first: int, others: Sequence[int]) -> list[Future[int]]:
        """Run ``first`` in a commit of its own, and ``others``, which arrive during it in this order."""
        with ThreadPoolExecutor(len(others) + 1) as pool:
            try:
                running = [pool.submit(self.group.run, first)]
                assert self._reached.wait(WAIT_SECONDS)
                for number in others:
                    running.append(pool.submit(self.group.run, number))
                    wait_for_arrivals(self.group, len(running) - 1)
            finally:
                self._go.set()
        return running


def wait_for_arrivals(group: GroupCommit[int, int], count: int) -> None:
    wait_until(lambda: len(group._open.items) == count)


def test_callers_that_arrive_during_a_commit_share_the_next_one_in_their_order() -> None:
    doubling = Doubling()
    others = [5, 3, 9, 1]
    answers = doubling.together(7, others)
    assert doubling.batches == [[7], others]
    assert [answer.result() for answer in answers] == [14, 10, 6, 18, 2]


def test_an_error_of_one_item_reaches_its_caller_alone() -> None:
    def commit(numbers: Sequence[int]) -> list[Outcome]:
        return [ValueError(number) if number < 0 else number for number in numbers]

    answers = Doubling(commit).together(1, [2, -3, 4])
    assert [type(answer.exception()) for answer in answers] == [type(None), type(None), ValueError, type(None)]
    assert [answers[place].result() for place in (0, 1, 3)] == [1, 2, 4]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), SystemExit(3)])
def test_what_the_commit_raises_reaches_all_of_its_batch_and_no_other(error: BaseException) -> None:
    def commit(numbers: Sequence[int]) -> Sequence[int]:
        if 2 in numbers:
            raise error
        return numbers

    doubling = Doubling(commit)
    answers = doubling.together(1, [2, 3, 4])
    assert answers[0].result() == 1
    assert [answer.exception() for answer in answers[1:]] == [error] * 3
    assert doubling.group.run(5) == 5


def test_a_leader_that_raises_holds_up_nobody() -> None:
    def commit(numbers: Sequence[int]) -> Sequence[int]:
        if 1 in numbers:
            raise OSError("disk full")
        return numbers

    answers = Doubling(commit).together(1, [2, 3])
    assert isinstance(answers[0].exception(), OSError)
    assert [answer.result() for answer in answers[1:]] == [2, 3]


def test_a_leader_that_is_interrupted_while_it_waits_for_its_turn_holds_up_nobody() -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda numbers: list(numbers))
    turn, waits, go = group.turn, threading.Event(), threading.Event()

    class Interrupted:
        def __enter__(self) -> None:
            waits.set()
            assert go.wait(WAIT_SECONDS)
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None: ...

    group.turn = Interrupted()  # type: ignore[assignment]
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(group.run, 1)
        assert waits.wait(WAIT_SECONDS)
        follower = pool.submit(group.run, 2)
        wait_for_arrivals(group, 2)
        go.set()
        assert isinstance(leader.exception(), KeyboardInterrupt)
        assert isinstance(follower.exception(), KeyboardInterrupt)
    group.turn = turn
    assert group.run(3) == 3


def test_a_commit_that_does_not_answer_each_item_is_an_error_for_all() -> None:
    answers = Doubling(lambda _: [1]).together(1, [2, 3])
    assert answers[0].result() == 1
    for answer in answers[1:]:
        with pytest.raises(ValueError, match="A commit of 2 items has 1 outcomes"):
            answer.result()


def test_nothing_is_committed_while_the_turn_is_held() -> None:
    doubling = Doubling()
    doubling._go.set()
    with ThreadPoolExecutor(1) as pool:
        with doubling.group.turn:
            answer = pool.submit(doubling.group.run, 1)
            wait_for_arrivals(doubling.group, 1)
            assert doubling.batches == []
        assert answer.result(WAIT_SECONDS) == 2


def test_many_threads_commit_each_item_once_and_each_in_its_own_order() -> None:
    committed: list[tuple[int, int]] = []
    at_once = threading.Lock()

    def commit(items: Sequence[tuple[int, int]]) -> list[tuple[int, int] | BaseException]:
        assert at_once.acquire(blocking=False)
        committed.extend(items)
        at_once.release()
        return list(items)

    group: GroupCommit[tuple[int, int], tuple[int, int]] = GroupCommit(commit)

    def work(thread: int) -> None:
        for number in range(200):
            assert group.run((thread, number)) == (thread, number)

    with ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(work, thread) for thread in range(32)]:
            future.result(WAIT_SECONDS)
    assert len(committed) == 32 * 200
    for thread in range(32):
        assert [number for by, number in committed if by == thread] == list(range(200))
