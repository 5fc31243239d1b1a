"""What goes wrong in the process that runs tasks harms no task but its own, and none is lost or run twice at once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from server_process import wait_until
from task_house import CalledWorker, Gate, MakeHouse, TaskHouse

from afterwrite.base.store_errors import StoreError
from afterwrite.tasks import manager, upkeep
from afterwrite.tasks.task import NewTask, Task
from afterwrite.tasks.worker import CancelAsked, TaskContext, TaskFailed, next_stage

LONG_LOCK_SECONDS = 100_000.0  # no heartbeat and no poll that hangs on it comes within a test
AGED = "UPDATE tasks SET locked_at_us = locked_at_us - 200000000"


async def done(task: Task, _context: TaskContext) -> Any:
    return task.attempt


def when_claimed(house: TaskHouse, act: Callable[[Task], Any]) -> None:
    """Act when a claim is on disk, before the loop hears of it."""

    def changed(tasks: Sequence[Task]) -> None:
        for task in tasks:
            if task.status == "PROCESSING" and not task.cancel_asked:
                act(task)

    house.store.on_change.append(changed)


# -- locks of this very process


class Attempt:
    """A task in its first attempt, in a house whose locks are short; it ends with its number when the gate opens."""

    def __init__(self, make_house: MakeHouse) -> None:
        self.gate = Gate()
        self.worker = CalledWorker(self._work)
        self.house = make_house(self.worker, lock_seconds=2).start()
        self.task = self.house.create()
        self.worker.wait_begun()

    async def _work(self, task: Task, _context: TaskContext) -> int:
        await self.gate.wait()
        return task.attempt

    def ends_as_the_only_one(self) -> bool:
        """Whether this attempt is the one that is recorded, and no other was begun."""
        return (self.house.wait(self.task).result, len(self.worker.began)) == (1, 1)


def test_a_process_that_was_late_to_renew_its_locks_does_not_take_its_own_tasks_away(make_house: MakeHouse) -> None:
    attempt = Attempt(make_house)
    house, task = attempt.house, attempt.task
    for _ in range(5):  # polls come more often than heartbeats: one of them would be first
        house.rows(AGED)
        wait_until(lambda: (house.get(task).locked_at_us or 0) > house.now_us() - 100_000_000)
    attempt.gate.open()
    assert attempt.ends_as_the_only_one()


def test_an_outcome_that_waits_for_a_locked_database_keeps_its_lock(make_house: MakeHouse) -> None:
    attempt = Attempt(make_house)
    with attempt.house.database.held(AGED):
        attempt.gate.open()
        wait_until(attempt.house.is_held_up)
    assert attempt.ends_as_the_only_one()


@pytest.mark.one_database("SQLite refuses what cannot be written; PostgreSQL lets it wait")
def test_a_stop_that_cannot_record_says_so_and_the_next_start_does_it_again(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(manager, "_LAST_TURN_SECONDS", 0.1)
    attempt = Attempt(make_house)
    with attempt.house.database.held():
        attempt.gate.open()
        attempt.house.stop()
    assert "could not be recorded before the stop" in caplog.text
    later = make_house(CalledWorker(done)).start(alone=True)
    assert later.wait(attempt.task).result == 2


def test_a_task_that_is_claimed_again_ends_its_earlier_run_first(make_house: MakeHouse) -> None:
    stopped: list[int] = []

    async def work(task: Task, context: TaskContext) -> Any:
        if task.claim == 1:
            try:
                await asyncio.sleep(3600)
            finally:
                stopped.append(task.claim)
        return [task.claim, list(stopped)]

    worker = CalledWorker(work)
    house = make_house(worker, lock_seconds=LONG_LOCK_SECONDS).start()
    task = house.create()
    worker.wait_begun()
    house.rows("UPDATE tasks SET status = 'PENDING', ready = 1, locked_by = NULL, locked_at_us = NULL")
    house.queue.resume("called")
    assert house.wait(task).claim == 2
    wait_until(lambda: stopped == [1])


def test_a_claim_whose_answer_was_lost_is_given_back_and_does_not_count(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(task: Task, _context: TaskContext) -> Any:
        await gate.wait()
        return [task.claim, task.attempt]

    worker = CalledWorker(work)
    house = make_house(worker, lock_seconds=LONG_LOCK_SECONDS).start()
    running = house.create()
    worker.wait_begun()
    unheard: list[int] = []

    def lose_answer(task: Task) -> None:
        if task.id != running.id and not unheard:
            unheard.append(task.id)
            raise StoreError("the connection broke after the commit")

    when_claimed(house, lose_answer)
    task = house.create()
    gate.open()
    assert house.wait(task).result == [2, 1]
    assert house.wait(running).result == [1, 1], "what runs here is not given back"
    assert unheard == [task.id]


def test_a_cancel_between_the_claim_and_the_begin_reaches_the_worker(make_house: MakeHouse) -> None:
    async def work(_task: Task, context: TaskContext) -> None:
        await context.sleep(3600)

    house = make_house(CalledWorker(work), lock_seconds=LONG_LOCK_SECONDS)
    when_claimed(house, lambda task: house.queue.cancel(task.id))
    house.start()
    assert house.wait(house.create()).status == "CANCELLED"


def test_a_cancel_that_is_told_when_all_is_over_does_not_end_the_next_run(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(_task: Task, context: TaskContext) -> None:
        await gate.wait()
        if len(worker.began) == 1:
            raise TaskFailed("BROKEN", "it was over before the cancel was told")
        await context.sleep(0)  # raises where a cancel is asked for

    worker = CalledWorker(work)
    house = make_house(worker, lock_seconds=LONG_LOCK_SECONDS)

    def hold_up(tasks: Sequence[Task]) -> None:
        if any(task.cancel_asked and not task.has_ended for task in tasks):
            gate.open()
            wait_until(lambda: house.queue.status().ended.get(("called", "CANCELLED")))

    house.store.on_change.insert(0, hold_up)
    house.start()
    task = house.create()
    worker.wait_begun()
    house.queue.cancel(task.id)
    assert house.wait(house.queue.retry(task.id)).status == "COMPLETED"


def test_what_is_claimed_in_the_moment_of_a_stop_is_given_back_unbegun(make_house: MakeHouse) -> None:
    worker = CalledWorker(done)
    house = make_house(worker)
    when_claimed(house, lambda _task: house.queue.announce_stop())
    house.start()
    task = house.create(max_attempts=1)
    wait_until(lambda: house.get(task).claim == 1)
    house.stop()
    released = make_house(CalledWorker(done)).get(task)
    assert (released.status, released.attempt, released.locked_by, worker.began) == ("PENDING", 0, None, [])


@pytest.mark.one_database("one process has a folder, so no other one lives; on PostgreSQL locks expire")
def test_locks_of_a_process_before_end_at_the_start_also_when_the_clock_was_set_back(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(done))
    task = house.create()
    house.store.claim_and_record("the process before", [], {"called": 1})
    house.rows("UPDATE tasks SET locked_at_us = locked_at_us + 3600000000")
    house.start(alone=True)
    assert house.wait(task).result == 2


# -- workers that misbehave


def test_a_worker_that_waits_for_something_cancelled_has_failed(make_house: MakeHouse) -> None:
    async def work(_task: Task, _context: TaskContext) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(3600))
        inner.cancel()
        await inner

    worker = CalledWorker(work)
    house = make_house(worker).start()
    ended = house.wait(house.create())
    assert (ended.status, ended.error_code, len(worker.began)) == ("FAILED", "WORKER_ERROR", 3)


@pytest.mark.parametrize("result", [{1, 2}, float("nan"), "x" * 70_000])
def test_work_that_was_done_keeps_its_outside_key_whatever_its_result(make_house: MakeHouse, result: Any) -> None:
    keys: list[str] = []

    async def work(_task: Task, context: TaskContext) -> Any:
        keys.append(context.key("charge"))
        return result if len(keys) == 1 else "charged"

    house = make_house(CalledWorker(work)).start()
    failed = house.wait(house.create())
    assert failed.status == "FAILED"
    assert house.wait(house.queue.retry(failed.id)).result == "charged"
    assert keys[0] == keys[1]


def test_a_stage_with_a_result_that_is_no_json_fails_and_is_never_shown(make_house: MakeHouse) -> None:
    async def work(_task: Task, _context: TaskContext) -> Any:
        return next_stage("NEXT", 10, {"n": float("nan")})

    ended = (house := make_house(CalledWorker(work)).start()).wait(house.create())
    assert (ended.status, ended.error_code, ended.result) == ("FAILED", "WORKER_ERROR", None)


def test_an_outcome_that_the_database_does_not_take_fails_its_task_and_holds_up_no_other(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(task: Task, _context: TaskContext) -> Any:
        await gate.wait()
        return "refused" if task.payload["bad"] else "done"

    worker = CalledWorker(work)
    house = make_house(worker).start()
    with house.database.refusing("tasks", "result_json = '\"refused\"'"):
        tasks = house.queue.create_many([NewTask("called", {"bad": bad}) for bad in (False, True, False)])
        worker.wait_begun(len(tasks))
        gate.open()  # all three are recorded in one turn
        ended = house.wait_all(tasks)
    assert [task.status for task in ended] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert ended[1].error_code == "OUTCOME_UNUSABLE"
    wait_until(lambda: {task.id for task in house.recorded} == {task.id for task in ended})
    assert house.queue.status().trouble is None


def test_an_attempt_that_fails_while_a_cancel_is_asked_for_keeps_its_error(make_house: MakeHouse) -> None:
    async def work(_task: Task, context: TaskContext) -> None:
        try:
            await context.sleep(3600)
        except CancelAsked as error:
            raise TaskFailed("MAYBE_CHARGED", "no answer came") from error

    worker = CalledWorker(work)
    house = make_house(worker).start()
    task = house.create()
    worker.wait_begun()
    house.queue.cancel(task.id)
    ended = house.wait(task)
    assert (ended.status, ended.error_code) == ("CANCELLED", "MAYBE_CHARGED")


class BadHooks(CalledWorker):
    """Raises in every hook."""

    types = {"bad": {"type": "object"}}
    service = "bad"

    def can_handle_task(self, task: Task) -> bool:
        raise RuntimeError("no idea")

    def health(self) -> Mapping[str, Any]:
        raise RuntimeError("not well")

    async def close(self) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(3600))
        inner.cancel()
        await inner


class StuckAtClose(CalledWorker):
    """Cannot be closed."""

    types = {"stuck": {"type": "object"}}

    async def close(self) -> None:
        raise RuntimeError("stuck")


def test_hooks_that_raise_harm_nothing_else(make_house: MakeHouse) -> None:
    good = CalledWorker(done)
    house = make_house(BadHooks(done), StuckAtClose(done), good).start()
    bad, fine = house.queue.create_many([NewTask("bad", {}), NewTask("called", {})])
    failed = house.wait(bad)
    assert (failed.status, failed.error_code) == ("FAILED", "WORKER_ERROR")
    assert house.wait(fine).status == "COMPLETED"
    assert house.queue.status().integrations["bad"] == {"status": "error", "trouble": "RuntimeError: not well"}
    house.stop()
    assert good.closed


def test_heartbeats_go_on_after_an_error_that_nobody_expected(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()

    async def work(_task: Task, _context: TaskContext) -> None:
        await gate.wait()

    worker = CalledWorker(work)
    house = make_house(worker, lock_seconds=1)
    renew, failures = house.store.renew, [ValueError("nobody"), ValueError("expected"), ValueError("it")]

    def broken(name: str, task_ids: Sequence[int]) -> Any:
        if failures:
            raise failures.pop()
        return renew(name, task_ids)

    monkeypatch.setattr(house.store, "renew", broken)
    house.start()
    task = house.create()
    worker.wait_begun()
    first = house.get(task).locked_at_us or 0
    wait_until(lambda: (house.get(task).locked_at_us or 0) > first)
    assert not failures
    gate.open()
    assert house.wait(task).status == "COMPLETED"


# -- waking


def test_tasks_start_at_their_signal_and_not_at_a_poll(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_POLL_SECONDS", LONG_LOCK_SECONDS)
    house = make_house(CalledWorker(done), lock_seconds=LONG_LOCK_SECONDS).start()
    for _ in range(20):
        assert house.wait(house.create()).status == "COMPLETED"
    soon = [house.create(run_at_us=house.now_us() + 20_000 * number) for number in range(5)]
    assert {task.status for task in house.wait_all(soon)} == {"COMPLETED"}
