"""How long tasks that have ended are kept."""

import pytest
from databases import retention_clock_that_knew_old_ones
from server_process import wait_until
from task_house import CalledWorker, MakeHouse, echo

from afterwrite.base.limits import TaskLimits
from afterwrite.base.settings import Settings
from afterwrite.tasks import upkeep

_DAY_US = 86_400_000_000


def test_tasks_that_ended_long_ago_are_deleted(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo)).start()
    done, waiting = house.wait(house.create()), house.create(run_at_us=house.now_us() + 10**10)
    assert house.store.prune(done.finished_at_us or 0) == 0
    house.wait_all([house.create(), house.create()])
    assert house.store.prune(2**62, most=2) == 2, "a batch at a time"
    assert house.store.prune(2**62, most=2) == 1
    assert house.queue.find(done.id) is None
    assert house.get(waiting).status == "PENDING"


def test_a_task_is_kept_as_long_as_its_key_must_be_known() -> None:
    assert TaskLimits.of(Settings(task_retention_days=1, idempotency_hours=48)).retention_seconds == 48 * 3600
    assert TaskLimits.of(Settings(task_retention_days=3, idempotency_hours=48)).retention_seconds == 72 * 3600


def test_a_task_that_ended_while_the_clock_was_years_back_between_two_looks_is_not_deleted_at_once(
    make_house: MakeHouse,
) -> None:
    house = make_house(CalledWorker(echo)).start()
    house.wait(house.create())
    assert house.store.prune_old(_DAY_US) == 0
    house.rows("UPDATE tasks SET finished_at_us = finished_at_us - ?", 3_650 * _DAY_US)
    assert house.store.prune_old(_DAY_US) == 0
    house.rows(
        "UPDATE meta SET value = ? WHERE name = 'retention_clock_of_tasks'", retention_clock_that_knew_old_ones()
    )
    assert house.store.prune_old(_DAY_US) == 1, "it was there at the look before"


def test_old_tasks_go_batch_by_batch_while_the_workers_run(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_PRUNED_AT_ONCE", 10)
    monkeypatch.setattr(upkeep, "_PRUNE_PAUSE_SECONDS", 0.01)
    first = make_house(CalledWorker(echo)).start()
    tasks = first.wait_all([first.create() for _ in range(25)])
    first.stop()
    first.rows("UPDATE tasks SET finished_at_us = finished_at_us - 7200000000")
    first.rows(
        "UPDATE meta SET value = ? WHERE name = 'retention_clock_of_tasks'", retention_clock_that_knew_old_ones()
    )
    second = make_house(CalledWorker(echo), retention_seconds=3600)
    fresh = second.create()
    second.start()
    wait_until(lambda: second.rows("SELECT count(*) FROM tasks") == [(1,)])
    assert second.queue.find(tasks[0].id) is None
    assert second.wait(fresh).status == "COMPLETED"
