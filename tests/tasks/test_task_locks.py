"""Locks of tasks: one holder, renewed while it lives, taken over once, and nothing recorded without it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from server_process import wait_until
from task_house import WAIT_SECONDS, CalledWorker, Gate, MakeHouse, TaskHouse

from afterwrite.base.limits import TaskLimits
from afterwrite.base.settings import Settings
from afterwrite.tasks import upkeep
from afterwrite.tasks.execution import worker_lost
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import Completed, Outcome, Progress, Task
from afterwrite.tasks.worker import LockLost, TaskContext

SECONDS = 0.6  # of a lock in these tests


async def done(task: Task, _context: TaskContext) -> Any:
    return {"attempt": task.attempt}


def stand_still(house: TaskHouse) -> Callable[[], None]:
    """Hold the loop of a house, as a process that is stopped would stand still; returns what lets it go on."""
    go_on, held = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(WAIT_SECONDS)

    house.background.loop.call_soon_threadsafe(hold)
    assert held.wait(WAIT_SECONDS)
    return go_on.set


def lost(task: Task) -> Outcome:
    return worker_lost(task, RetryPolicy(first_seconds=0, longest_seconds=0))


def test_many_workers_claim_each_task_once(make_house: MakeHouse) -> None:
    workers = [CalledWorker(done) for _ in range(3)]
    houses = [make_house(worker) for worker in workers]
    tasks = [houses[0].create() for _ in range(200)]
    for house in houses:
        house.start()
    # By polling: what another process records is not told to this one.
    wait_until(lambda: all(houses[0].get(task).has_ended for task in tasks))
    began = [task.id for worker in workers for task in worker.began]
    assert sorted(began) == sorted(task.id for task in tasks)
    assert houses[0].rows("SELECT DISTINCT status, attempt, claim FROM tasks") == [("COMPLETED", 1, 1)]


def test_a_lock_is_renewed_as_long_as_its_worker_lives(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(task: Task, context: TaskContext) -> Any:
        await gate.wait()
        return await done(task, context)

    seconds = 5 * SECONDS  # longer than a busy machine stands still
    holder, other = CalledWorker(work), CalledWorker(done)
    first = make_house(holder, lock_seconds=seconds).start()
    task = first.create()
    holder.wait_begun()
    second = make_house(other, lock_seconds=seconds).start()
    claimed_at = first.get(task).locked_at_us or 0
    wait_until(lambda: (first.get(task).locked_at_us or 0) >= claimed_at + 2 * seconds * 1e6)
    gate.open()
    assert first.wait(task).result == {"attempt": 1}
    assert other.began == []
    assert second.get(task).claim == 1


def test_an_expired_lock_is_taken_over_and_its_old_holder_records_nothing_and_is_told(make_house: MakeHouse) -> None:
    gate, told = Gate(), []

    async def work(_task: Task, context: TaskContext) -> str:
        try:
            await gate.wait()
            await context.progress(99)
        except asyncio.CancelledError:  # LockLost is one
            told.append(context.is_stopped)
            raise
        return "from the old holder"

    old = CalledWorker(work)
    first = make_house(old, lock_seconds=SECONDS).start()
    task = first.create()
    old.wait_begun()
    go_on = stand_still(first)
    second = make_house(CalledWorker(done), lock_seconds=SECONDS).start()
    taken_over = second.wait(task)
    gate.open()
    go_on()
    first.background.submit(first.runtime.manager._running.finish(WAIT_SECONDS)).result(WAIT_SECONDS)
    assert (taken_over.status, taken_over.result) == ("COMPLETED", {"attempt": 2})
    assert second.get(task) == taken_over
    assert told == [True]


def take_lock_away(house: TaskHouse, task: Task) -> None:
    """As if it had expired and another process had taken it over."""
    house.rows("UPDATE tasks SET locked_by = 'another', claim = claim + 1 WHERE id = ?", task.id)


def test_a_heartbeat_tells_a_worker_that_reports_nothing_that_its_lock_is_lost(make_house: MakeHouse) -> None:
    told = threading.Event()

    async def work(_task: Task, context: TaskContext) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            assert context.is_stopped
            told.set()
            raise

    worker = CalledWorker(work)
    house = make_house(worker, lock_seconds=SECONDS).start()
    task = house.create()
    worker.wait_begun()
    take_lock_away(house, task)
    assert told.wait(WAIT_SECONDS)


def test_a_report_tells_a_worker_that_its_lock_is_lost_before_any_heartbeat(make_house: MakeHouse) -> None:
    gate, told = Gate(), threading.Event()

    async def work(_task: Task, context: TaskContext) -> None:
        await gate.wait()
        try:
            await context.progress(50)
        except LockLost:
            if context.is_stopped:
                told.set()
            raise

    worker = CalledWorker(work)
    house = make_house(worker, lock_seconds=100_000).start()
    task = house.create()
    worker.wait_begun()
    take_lock_away(house, task)
    gate.open()
    assert told.wait(WAIT_SECONDS)
    assert (house.get(task).locked_by, house.get(task).progress) == ("another", 0)


def test_by_default_a_lock_holds_two_minutes_and_is_renewed_every_twenty_seconds() -> None:
    limits = TaskLimits.of(Settings())
    assert (limits.lock_seconds, limits.lock_seconds / upkeep._HEARTBEATS_PER_LOCK) == (120, 20)
    assert TaskLimits.of(Settings(task_lock_seconds=33)).lock_seconds == 33


def test_one_of_many_wins_an_expired_lock(make_house: MakeHouse) -> None:
    """Eight threads over four connections race, again and again, for the one lock that has expired."""
    houses = [make_house(CalledWorker(done)) for _ in range(4)]
    for _ in range(20):
        task = houses[0].create()
        [dead] = houses[0].store.claim_and_record("dead", [], {"called": 1}).claimed
        houses[0].rows("UPDATE tasks SET locked_at_us = locked_at_us - 200000000 WHERE id = ?", task.id)
        start = threading.Barrier(8)

        def race(number: int, start: threading.Barrier = start) -> tuple[int, list[Task]]:
            store = houses[number % 4].store
            start.wait(WAIT_SECONDS)
            expired = store.expire(120, lost)
            return expired, store.claim_and_record(f"worker-{number}", [], {"called": 1}).claimed

        with ThreadPoolExecutor(8) as pool:
            raced = list(pool.map(race, range(8)))
        assert sum(expired for expired, _ in raced) == 1
        [[won]] = [claimed for _, claimed in raced if claimed]
        assert (won.id, won.claim, won.attempt) == (task.id, 2, 2)
        assert houses[0].store.claim_and_record("dead", [(dead, Completed("1"))], {}).lost == [task.id]
        assert houses[1].store.claim_and_record(won.locked_by or "", [(won, Completed("2"))], {}).recorded
        assert houses[2].get(task).result == 2


def test_an_outcome_is_recorded_only_by_worker_and_claim_together(make_house: MakeHouse) -> None:
    store = (house := make_house(CalledWorker(done))).store
    house.create()
    [first] = store.claim_and_record("a", [], {"called": 1}).claimed
    assert store.claim_and_record("b", [(first, Completed("1"))], {}).lost == [first.id]
    store.expire(0.0, lost)
    assert store.claim_and_record("a", [(first, Progress(50))], {}).lost == [first.id]
    [second] = store.claim_and_record("a", [], {"called": 1}).claimed
    assert (second.claim, second.attempt) == (2, 2)
    assert store.claim_and_record("a", [(first, Completed("1"))], {}).lost == [first.id]
    assert store.renew("b", [first.id]) == []
    [held] = store.renew("a", [first.id])
    assert (held.id, held.claim) == (second.id, 2)
    [recorded] = store.claim_and_record("a", [(second, Completed("2"))], {}).recorded
    assert (recorded.status, house.get(recorded).result) == ("COMPLETED", 2)


def test_a_task_whose_worker_dies_each_time_uses_up_its_attempts(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(done))
    task = house.create(max_attempts=3)
    for attempt in (1, 2, 3):
        [claimed] = house.store.claim_and_record("doomed", [], {"called": 1}).claimed
        assert claimed.attempt == attempt
        assert house.store.expire(0.0, lost) == 1
        if attempt == 2:  # what was lost twice waits a while, so that it does not end its process at once again
            assert house.get(task).run_at_us - house.get(task).updated_at_us >= 6_000_000
            house.rows("UPDATE tasks SET run_at_us = 0")
            assert house.store.claim_and_record("doomed", [], {}).due_us is None, "nobody looked"
            turn = house.store.claim_and_record("nobody", [], {}, promote_due=True)
            assert (turn.claimed, turn.due_us) == ([], None)
            assert house.get(task).ready
    ended = house.get(task)
    assert (ended.status, ended.error_code) == ("FAILED", "WORKER_LOST")
    assert ended.error_message == "The worker doomed stopped responding in attempt 3 of 3"


@pytest.mark.one_database("one process has a folder, so no other one lives; on PostgreSQL locks expire")
def test_workers_that_are_alone_take_over_at_once_what_the_process_before_left(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(done))
    task = house.create()
    house.store.claim_and_record("the process before", [], {"called": 1})
    house.start(alone=True)
    assert house.wait(task).result == {"attempt": 2}


def test_a_cancel_of_a_task_whose_worker_died_is_done_when_the_lock_expires(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(done))
    task = house.create()
    house.store.claim_and_record("dead", [], {"called": 1})
    assert house.queue.cancel(task.id).status == "PROCESSING"
    house.store.expire(0.0, lost)
    assert house.get(task).status == "CANCELLED"
