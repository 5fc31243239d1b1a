"""Who made which task, and who did what to it afterwards: recorded with the change, shown, filtered, pruned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_process import EmbeddedCatalogue
from older_folder import make_older, run_on
from task_house import CalledWorker, MakeHouse, TaskHouse, echo

from afterwrite.tasks import queue as queue_module
from afterwrite.tasks.actions import TaskAction
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.registry import TaskRefused
from afterwrite.tasks.task import Task, TaskStatus

ANN, BEN = "ann", "ben"
HOUR_US = 3_600_000_000


def hours_ago(house: TaskHouse, hours: float) -> int:
    """A time in microseconds since 1970."""
    return house.now_us() - int(hours * HOUR_US)


def said(actions: list[TaskAction]) -> list[tuple[str, str | None]]:
    """What was done, and by whom."""
    return [(action.action, action.by) for action in actions]


def refuse(task: Task, _now_us: int) -> Task:
    """A change that is not allowed."""
    raise ValueError(task.id)


def test_a_task_keeps_the_name_of_who_made_it_and_is_found_by_it(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo)).start()
    mine, other, nobodys = (house.create(created_by=by) for by in (ANN, BEN, None))
    done = house.wait_all([mine, other, nobodys])
    assert [task.created_by for task in done] == [ANN, BEN, None]
    assert house.queue.newest(TaskFilter(by=ANN), None, 9) == [house.get(mine)]
    assert house.queue.count(TaskFilter(frozenset({TaskStatus.COMPLETED}), "called", by=BEN)) == 1
    assert house.queue.count(TaskFilter(by="nobody")) == 0


def test_a_repeat_is_the_same_task_whoever_sends_it(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    first = house.create(idempotency_key="k", created_by=ANN)
    assert house.create(idempotency_key="k", created_by=BEN) == first


def test_what_is_done_to_a_task_is_recorded_with_it_and_what_is_refused_is_not(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    task, other = house.create(created_by=ANN), house.create()
    house.queue.cancel(task.id, ANN)
    with pytest.raises(TaskRefused):
        house.queue.cancel(task.id, BEN)
    house.queue.retry(task.id, BEN)
    house.queue.edit(task.id, lambda now, _at: now._replace(stage="moved"))
    with pytest.raises(ValueError, match=str(task.id)):
        house.queue.edit(task.id, refuse, ANN)
    house.queue.cancel(other.id, ANN)
    actions = house.queue.actions(task.id)
    assert said(actions) == [("CANCEL", ANN), ("RETRY", BEN), ("EDIT", None)]
    assert [(action.task_id, action.type) for action in actions] == [(task.id, "called")] * 3
    assert all(task.created_at <= action.at for action in actions)
    assert house.get(task).stage == "moved"


def test_pause_and_resume_are_recorded_when_they_change_something(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    for by in (ANN, BEN):  # the second changes nothing
        report = house.queue.pause("called", by)
        assert report.pause is not None
        assert (report.paused, report.pause.by) == (True, ANN)
        assert report.pause.at is not None
    assert house.queue.types() == [report]
    for by in (BEN, ANN):
        assert house.queue.resume("called", by).pause is None
    actions = house.queue.newest_actions(None, None, 9)
    assert said(actions) == [("RESUME", BEN), ("PAUSE", ANN)]
    assert [(action.task_id, action.type) for action in actions] == [(None, "called")] * 2


def test_actions_are_paged_newest_first_and_filtered_by_name(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    for number in range(9):
        house.queue.cancel(house.create().id, (ANN, BEN, None)[number % 3])
    every = house.queue.newest_actions(None, None, 99)
    assert [action.id for action in every] == sorted((action.id for action in every), reverse=True)
    assert house.queue.newest_actions(None, every[2].id, 3) == every[3:6]
    assert house.queue.newest_actions(BEN, None, 2) == [every[1], every[4]]
    assert house.queue.newest_actions(BEN, every[4].id, 2) == [every[7]]


@pytest.mark.one_database("ids come from a clock, which may be set back; on PostgreSQL from a sequence")
def test_a_second_process_goes_on_with_ids_that_grow(make_house: MakeHouse) -> None:
    first = make_house(CalledWorker(echo))
    first.queue.pause("called", ANN)
    first.rows("UPDATE task_actions SET id = ?", 2**62)
    first.stop()
    second = make_house(CalledWorker(echo))
    second.queue.resume("called", BEN)
    assert said(second.queue.newest_actions(None, None, 9)) == [("RESUME", BEN), ("PAUSE", ANN)]


# -- prune -----------------------------------------------------------------------------------------------------


def ended(house: TaskHouse, hours: float, count: int = 1) -> list[Task]:
    """Tasks that ended so long ago, each cancelled."""
    tasks = [house.create() for _ in range(count)]
    for task in tasks:
        house.queue.cancel(task.id, ANN)
        house.rows("UPDATE tasks SET finished_at_us = ? WHERE id = ?", hours_ago(house, hours), task.id)
    return tasks


def test_prune_deletes_in_batches_what_ended_before_a_time_with_its_actions(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_PRUNED_AT_ONCE", 2)
    house = make_house(CalledWorker(echo))
    old, young, waiting = ended(house, 10, 5), ended(house, 2), house.create()
    assert house.queue.prune(hours_ago(house, 5), BEN) == 5
    assert house.queue.actions(old[0].id) == []
    assert [task.id for task in house.queue.newest(TaskFilter(), None, 9)] == [waiting.id, young[0].id]
    assert said(house.queue.newest_actions(None, None, 9)) == [("PRUNE", BEN), ("CANCEL", ANN)]
    before = house.queue.changes
    assert house.queue.prune(hours_ago(house, 5), ANN) == 0
    assert said(house.queue.newest_actions(ANN, None, 9)) == [("CANCEL", ANN)], "nothing was done"
    assert house.queue.changes == before


def test_prune_refuses_what_a_repeat_may_still_ask_for(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo), idempotency_seconds=7200)
    ended(house, 1.5)
    with pytest.raises(TaskRefused) as refused:
        house.queue.prune(hours_ago(house, 1.9))
    assert (refused.value.refusal, refused.value.field) == ("INVALID_ARGUMENT", "endedBefore")
    assert "tasks are kept for 2 h after their end" in refused.value.message
    assert house.queue.prune(hours_ago(house, 2.1)) == 0
    assert house.queue.count(TaskFilter()) == 1


def test_what_the_retention_deletes_is_no_action(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    ended(house, 10)
    assert house.store.prune(hours_ago(house, 5)) == 1
    assert house.queue.newest_actions(None, None, 9) == []


# -- what the console polls ------------------------------------------------------------------------------------


def test_changes_grow_with_whatever_changes_tasks_or_a_pause(make_house: MakeHouse) -> None:
    async def report(_task: Task, context: Any) -> None:
        await context.progress(50)

    house = make_house(CalledWorker(report))
    old = ended(house, 10)
    seen = [house.queue.changes]

    def grew(change: Callable[[], object]) -> None:
        change()
        assert house.queue.changes > seen[-1]
        seen.append(house.queue.changes)

    grew(house.create)
    grew(lambda: house.queue.retry(old[0].id))
    grew(lambda: house.queue.cancel(old[0].id))
    grew(lambda: house.queue.pause("called"))
    grew(lambda: house.queue.resume("called"))
    house.rows("UPDATE tasks SET finished_at_us = 1 WHERE finished_at_us IS NOT NULL")
    grew(lambda: house.queue.prune(2))
    house.queue.types()
    house.queue.resume("called")
    assert house.queue.changes == seen[-1], "nothing was changed"
    house.start()
    [task] = house.queue.newest(TaskFilter(), None, 9)
    house.wait(task)
    assert house.queue.changes >= seen[-1] + 3, "the claim, the progress, the end"


def test_counts_are_those_of_a_second_ago_at_the_most(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    assert house.queue.counts() == dict.fromkeys(TaskStatus, 0)
    house.queue.cancel(house.create().id)
    house.create()
    house.queue._counts_at -= 2  # as if the time had passed
    assert house.queue.counts() == dict.fromkeys(TaskStatus, 0) | {"PENDING": 1, "CANCELLED": 1}


def test_a_task_database_of_the_schema_before_is_brought_up_to_date(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_older(folder / "tasks.db", "tasks", 1)
    columns = {"id": 7, "type": "gone", "status": "FAILED", "progress": 0, "payload_json": "{}", "attempt": 1}
    columns |= {"error_is_final": 1, "max_attempts": 1, "priority": 0, "run_at_us": 1, "ready": 0, "claim": 1}
    columns |= {"cancel_asked": 0, "renewals": 0, "created_at_us": 1, "updated_at_us": 2, "finished_at_us": 2}
    columns |= {"search_text": ""}
    marks = ", ".join("?" * len(columns))
    run_on(folder / "tasks.db", f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({marks})", *columns.values())
    run_on(folder / "tasks.db", "INSERT INTO paused_task_types VALUES ('gone')")
    catalogue = EmbeddedCatalogue(folder)
    try:
        queue = catalogue.tasks.queue
        [report] = queue.types()
        assert report.pause is not None
        assert (report.paused, report.pause.by, report.pause.at) == (True, None, None)
        assert queue.retry(7, ANN).created_by is None
        assert said(queue.actions(7)) == [("RETRY", ANN)]
    finally:
        catalogue.stop()


def test_pages_by_name_and_actions_read_only_what_they_show(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    for page in (
        "SELECT * FROM tasks WHERE created_by = 'ann' ORDER BY id DESC LIMIT 50",
        "SELECT * FROM task_actions WHERE task_id = 1 ORDER BY id",
        "SELECT * FROM task_actions WHERE \"by\" = 'ann' AND id < 9 ORDER BY id DESC LIMIT 50",
        "DELETE FROM task_actions WHERE task_id IN (1, 2)",
    ):
        assert house.database.is_by_index(page), page
