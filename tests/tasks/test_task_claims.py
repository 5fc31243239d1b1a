"""Which tasks are claimed and when: in batches, type by type, and also when nobody tells of them."""

from collections.abc import Sequence
from typing import Any

import pytest
from server_process import wait_until
from task_house import CalledWorker, Gate, MakeHouse, TaskHouse, echo
from worker_runs import claimed

from afterwrite.tasks import upkeep
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.task import NewTask, StageDone, Task, TaskStatus
from afterwrite.tasks.worker import TaskContext

LONG_LOCK_SECONDS = 100_000.0  # no heartbeat and no poll that hangs on it comes within a test


class OtherWorker(CalledWorker):
    """Runs tasks of a second type."""

    types = {"other": {"type": "object"}}


def test_as_many_tasks_as_there_are_places_are_claimed_in_one_commit(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    at_once: list[int] = []

    def count(tasks: Sequence[Task]) -> None:
        at_once.append(sum(task.status == TaskStatus.PROCESSING for task in tasks))

    tasks = house.queue.create_many([NewTask("called", {})] * 20)
    house.store.on_change.append(count)
    house.start()
    house.wait_all(tasks)
    assert at_once[0] == CalledWorker.concurrency
    assert len([number for number in at_once if number]) < len(tasks)


def test_each_type_has_places_of_its_own(make_house: MakeHouse) -> None:
    gate = Gate()

    async def wait(_task: Task, _context: TaskContext) -> None:
        await gate.wait()

    busy, free = CalledWorker(wait), OtherWorker(echo)
    house = make_house(busy, free).start()
    held = house.queue.create_many([NewTask("called", {})] * (busy.concurrency + 1))
    busy.wait_begun(busy.concurrency)
    house.wait_all([house.create("other") for _ in range(3)])
    assert house.queue.count(TaskFilter(frozenset({TaskStatus.PROCESSING}))) == busy.concurrency
    gate.open()
    house.wait_all(held)


def test_a_pause_holds_its_type_and_no_other(make_house: MakeHouse) -> None:
    paused, running = CalledWorker(echo), OtherWorker(echo)
    house = make_house(paused, running).start()
    house.queue.pause("called")
    held = house.create()
    for _ in range(5):  # each of them is claimed in a turn that looks for both types
        house.queue.resume("other")
        assert house.wait(house.create("other")).status == "COMPLETED"
    assert (house.get(held).status, house.get(held).claim, paused.began) == ("PENDING", 0, [])
    house.queue.resume("called")
    assert house.wait(held).status == "COMPLETED"


def test_a_task_that_nobody_told_of_is_found_by_a_poll(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_POLL_SECONDS", 0.05)
    house = make_house(CalledWorker(echo), lock_seconds=LONG_LOCK_SECONDS).start()
    elsewhere = make_house(CalledWorker(echo))  # another process: it tells only its own workers
    task = elsewhere.create()
    wait_until(lambda: house.get(task).has_ended)
    assert house.get(task).locked_by is None


def test_two_processes_take_over_one_expired_lock_once(make_house: MakeHouse) -> None:
    workers = [CalledWorker(echo), CalledWorker(echo)]
    houses = [make_house(worker, lock_seconds=0.4) for worker in workers]
    tasks = houses[0].queue.create_many([NewTask("called", {})] * 8)
    assert len(houses[0].store.claim_and_record("dead", [], {"called": 8}).claimed) == len(tasks)
    for house in houses:
        house.start()
    wait_until(lambda: all(houses[0].get(task).has_ended for task in tasks))
    began = sorted(task.id for worker in workers for task in worker.began)
    assert began == [task.id for task in tasks]
    assert houses[0].rows("SELECT DISTINCT status, attempt, claim FROM tasks") == [("COMPLETED", 2, 2)]


def test_a_claim_changes_what_the_model_of_the_moves_says_it_does(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    before = house.create(priority=3)
    first = claim(house)
    assert first == claimed(before, "one", first.updated_at_us)
    turn = house.store.claim_and_record("one", [(first, StageDone("NEXT", 40, '"kept"'))], {})
    [again] = turn.recorded
    second = claim(house)
    assert second == claimed(again, "one", second.updated_at_us)
    assert (second.claim, second.started_at_us, second.result) == (2, first.started_at_us, "kept")


def claim(house: TaskHouse) -> Any:
    """The one task that can be claimed."""
    [task] = house.store.claim_and_record("one", [], {"called": 5}).claimed
    return task
