"""Tasks as they are read: found, paged, counted by type, watched."""

from contextlib import closing

import pytest
from task_house import CalledWorker, MakeHouse, echo

from afterwrite.tasks import watching
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.task import TaskStatus
from afterwrite.tasks.watching import WatchTooSlow


def test_tasks_are_found_by_status_type_and_text(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    tasks = [house.create(payload={"title": f"100% Größe {number}"}) for number in range(5)]
    house.queue.cancel(tasks[0].id)
    waiting = TaskFilter(frozenset({TaskStatus.PENDING}), "called", search="GRÖSSE")
    assert [task.id for task in house.queue.newest(waiting, None, 2)] == [tasks[4].id, tasks[3].id]
    assert [task.id for task in house.queue.newest(waiting, tasks[3].id, 9)] == [tasks[2].id, tasks[1].id]
    assert [task.id for task in house.queue.page(waiting, 1, 1)] == [tasks[3].id]
    assert house.queue.count(waiting) == 4
    assert house.queue.count(TaskFilter(search="0% g")) == 5
    assert house.queue.count(TaskFilter(search="0_ g")) == 0
    assert house.queue.count(TaskFilter(type="other")) == 0
    assert house.queue.count(TaskFilter(type="\0")) == 0
    assert house.queue.find_correlated("\0") is None
    assert house.queue.count(TaskFilter(search="CALL")) == 5, "the type is a text to be found by, too"
    assert house.queue.count(TaskFilter(type="called", search="call")) == 0


def test_types_are_reported_with_counts_and_durations(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo)).start()
    house.wait_all([house.create() for _ in range(4)])
    [report] = house.queue.types()
    assert (report.type, report.concurrency, report.running, report.paused) == ("called", 8, 0, False)
    assert report.counts[TaskStatus.COMPLETED] == 4
    assert report.duration_p50_ms is not None
    assert report.duration_p95_ms is not None
    assert 0 < report.duration_p50_ms <= report.duration_p95_ms


def test_durations_are_the_percentiles_of_what_was_completed(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo)).start()
    house.wait_all([house.create() for _ in range(100)])
    for number, (task_id,) in enumerate(house.rows("SELECT id FROM tasks")):
        milliseconds = 1 + number * 37 % 100  # 1 to 100, each once
        house.rows("UPDATE tasks SET finished_at_us = started_at_us + ? WHERE id = ?", milliseconds * 1000, task_id)
    [report] = house.queue.types()
    assert (report.duration_p50_ms, report.duration_p95_ms) == (50, 95)


def test_a_page_of_a_type_reads_only_what_it_shows(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    assert house.database.is_by_index("SELECT * FROM tasks WHERE type = 'called' ORDER BY id DESC LIMIT 50")


def test_who_watches_too_slowly_is_told_instead_of_missing_ends(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_MOST_WAITING", 10)
    monkeypatch.setattr(watching, "_READ_AT_ONCE", 3)
    house = make_house(CalledWorker(echo))
    with closing(house.queue.watch(task_type="called")) as watch:
        tasks = [house.create() for _ in range(10)]
        told = [task.id for _ in range(4) for task in watch.next(30)]
        assert told == [task.id for task in tasks]
        for _ in range(11):
            house.create()
        with pytest.raises(WatchTooSlow):
            watch.next(30)
