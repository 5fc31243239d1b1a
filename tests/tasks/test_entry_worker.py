"""Entries go from stage to stage, one claim for each, and end where the work or a stop ends them."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from server_process import ServerProcess, wait_until
from task_house import MakeHouse, TaskHouse
from worker_runs import SECONDS, WorkerRuns, new_task

from afterwrite.tasks.task import StageDone, TaskStatus
from afterwrite.tasks.worker import CancelAsked, LockLost, TaskFailed, TaskStopped
from afterwrite.tasks.workers.entry import EntryWorker

TITLE = {"title": "First"}


@pytest.mark.parametrize(
    ("payload", "is_right"),
    [
        (TITLE, True),
        ({"title": "x" * 300}, True),
        ({"title": "  红灯笼 "}, True),
        ({"title": "x" * 301}, False),
        ({"title": ""}, False),
        ({"title": " \t\n"}, False),
        ({"title": 7}, False),
        ({"title": None}, False),
        ({}, False),
        ({"title": "a", "status": "COMPLETED"}, False),
        ("First", False),
    ],
)
def test_an_entry_has_a_title_of_1_to_300_characters_and_nothing_else(payload: object, is_right: bool) -> None:
    schema = EntryWorker.types["entry"]
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(payload) is is_right


def test_an_entry_goes_through_its_stages_in_order_each_with_a_claim_of_its_own() -> None:
    runs = WorkerRuns(EntryWorker(0))
    task = runs.ended("entry", TITLE)
    assert [(claim.stage, claim.progress, claim.attempt) for claim in runs.claims] == [
        ("CREATED", 0, 1),
        ("STAGE_1", 33, 1),
        ("STAGE_2", 66, 1),
    ]
    assert (task.status, task.progress, task.locked_by) == (TaskStatus.COMPLETED, 100, None)
    assert runs.reports[-1] == (1, "COMPLETED", 100)


def test_the_result_tells_when_each_stage_was_reached_by_whom_and_when_the_entry_was_completed() -> None:
    result = WorkerRuns(EntryWorker(0), name="process-7").ended("entry", TITLE).result
    assert result["title"] == "First"
    assert [stage["stage"] for stage in result["stages"]] == ["STAGE_1", "STAGE_2", "COMPLETED"]
    assert {stage["worker"] for stage in result["stages"]} == {"process-7"}
    moments = [datetime.fromisoformat(stage["reachedAt"]) for stage in result["stages"]]
    assert moments == sorted(moments)
    assert all(moment.tzinfo is not None for moment in moments)
    assert result["completedAt"] == result["stages"][-1]["reachedAt"]


def test_an_entry_under_way_shows_the_stages_it_has_reached() -> None:
    runs = WorkerRuns(EntryWorker(0))
    task = asyncio.run(runs.run(new_task(runs.worker, "entry", TITLE)))
    assert (task.status, task.stage, task.progress) == (TaskStatus.PENDING, "STAGE_1", 33)
    assert task.result["completedAt"] is None
    assert [stage["stage"] for stage in task.result["stages"]] == ["STAGE_1"]


def test_an_entry_has_the_progress_of_its_stage_and_no_other() -> None:
    runs = WorkerRuns(EntryWorker(0))
    runs.ended("entry", TITLE)
    assert [(claim.stage, claim.progress) for claim in runs.claims] == [
        ("CREATED", 0),
        ("STAGE_1", 33),
        ("STAGE_2", 66),
    ]
    assert [(stage, percent) for _task, stage, percent in runs.reports] == [("COMPLETED", 100)]


def test_every_stage_takes_the_stage_seconds() -> None:
    runs = WorkerRuns(EntryWorker(1.5))
    task = new_task(runs.worker, "entry", TITLE)
    for _stage in range(3):
        runs.slept.clear()
        task = asyncio.run(runs.run(task))
        assert sum(runs.slept) == 1.5


def test_an_entry_goes_on_from_the_stage_it_had_reached_with_another_worker() -> None:
    first, second = (WorkerRuns(EntryWorker(0), name=name) for name in ("process-1", "process-2"))
    task = asyncio.run(first.run(new_task(first.worker, "entry", TITLE)))
    task = asyncio.run(second.run_to_end(task))
    assert [claim.stage for claim in second.claims] == ["STAGE_1", "STAGE_2"]
    assert [stage["worker"] for stage in task.result["stages"]] == ["process-1", "process-2", "process-2"]


def test_an_attempt_that_is_repeated_records_its_stage_once() -> None:
    runs = WorkerRuns(EntryWorker(0))
    task = asyncio.run(runs.run(new_task(runs.worker, "entry", TITLE)))
    asyncio.run(runs.execute(runs.claim(task)))  # the process died before this one was recorded
    task = asyncio.run(runs.run_to_end(task))
    assert [stage["stage"] for stage in task.result["stages"]] == ["STAGE_1", "STAGE_2", "COMPLETED"]


def test_an_entry_whose_worker_died_after_its_last_report_is_completed_without_more_work() -> None:
    runs = WorkerRuns(EntryWorker(3600))
    task = new_task(runs.worker, "entry", TITLE)._replace(stage="COMPLETED", progress=100)
    task = asyncio.run(runs.run_to_end(task))
    assert (task.status, runs.slept) == (TaskStatus.COMPLETED, [])
    assert task.result["completedAt"] is not None


@pytest.mark.parametrize("stage", [None, "STAGE_3", "created"])
def test_an_entry_at_no_stage_ends_failed_with_the_reason(stage: str | None) -> None:
    runs = WorkerRuns(EntryWorker(0))
    task = asyncio.run(runs.run_to_end(new_task(runs.worker, "entry", TITLE)._replace(stage=stage)))
    assert (task.status, len(runs.claims)) == (TaskStatus.FAILED, 1)
    assert task.error is not None
    assert task.error.code == "UNKNOWN_STAGE"
    assert str(stage) in task.error.message


@pytest.mark.parametrize("why", [CancelAsked, LockLost])
def test_a_stop_in_the_middle_of_a_pause_ends_the_work_at_once(why: type[TaskStopped]) -> None:
    async def stop() -> None:
        runs = WorkerRuns(EntryWorker(3600), longest_pause=3600)
        work = asyncio.ensure_future(runs.execute(runs.claim(new_task(runs.worker, "entry", TITLE))))
        while not runs.slept:
            await asyncio.sleep(0)  # a turn of the loop: the worker begins
        runs.contexts[0].stop(why)
        with pytest.raises(why):
            await asyncio.wait_for(work, SECONDS)
        assert runs.reports == []

    asyncio.run(stop())


def test_a_lock_lost_before_the_last_report_completes_nothing() -> None:
    runs = WorkerRuns(EntryWorker(0))
    runs.on_report = lambda context, progress: context.stop(LockLost) if progress.percent == 100 else None
    with pytest.raises(LockLost):
        runs.ended("entry", TITLE)


def test_sixty_four_entries_are_worked_on_side_by_side() -> None:
    runs = WorkerRuns(EntryWorker(0.2), longest_pause=1)
    done_after: list[int] = []

    async def work(number: int) -> None:
        claimed = runs.claim(new_task(runs.worker, "entry", TITLE, number))
        assert isinstance(await runs.execute(claimed), StageDone)
        done_after.append(len(runs.slept))

    async def all_of_them() -> None:
        await asyncio.gather(*(work(number) for number in range(64)))

    asyncio.run(asyncio.wait_for(all_of_them(), SECONDS))
    assert done_after[0] == 64  # before the first one had its stage done, all were at work
    assert EntryWorker.concurrency >= 64


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_stage_seconds_that_are_no_time_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="stage_seconds is"):
        EntryWorker(seconds)


def test_a_failure_of_an_entry_is_final() -> None:
    runs = WorkerRuns(EntryWorker(0))
    claimed = runs.claim(new_task(runs.worker, "entry", TITLE)._replace(stage="LOST"))
    with pytest.raises(TaskFailed) as failed:
        asyncio.run(runs.execute(claimed))
    assert failed.value.final


# -- in the real queue ------------------------------------------------------------------------------------------


@pytest.fixture
def house(make_house: MakeHouse) -> TaskHouse:
    """The real queue with a quick worker of entries."""
    return make_house(EntryWorker(0)).start()


def test_many_entries_end_in_the_real_queue_each_stage_claimed_once(house: TaskHouse) -> None:
    made = [house.create("entry", payload={"title": f"Entry {number}"}) for number in range(100)]
    ended = house.wait_all(made)
    assert {(task.status, task.stage, task.progress, task.claim) for task in ended} == {
        ("COMPLETED", "COMPLETED", 100, 3)
    }
    for task in ended:
        assert [stage["stage"] for stage in task.result["stages"]] == ["STAGE_1", "STAGE_2", "COMPLETED"]
        assert task.result["completedAt"] is not None


def test_an_entry_that_is_cancelled_in_the_middle_ends_cancelled_and_goes_on_when_tried_again(
    make_house: MakeHouse,
) -> None:
    slow = make_house(EntryWorker(3600)).start()
    task = slow.create("entry", payload=TITLE, stage="STAGE_1")
    slow.wait(task, lambda now: now.status == TaskStatus.PROCESSING)
    slow.queue.cancel(task.id)
    cancelled = slow.wait(task)
    assert (cancelled.status, cancelled.stage) == (TaskStatus.CANCELLED, "STAGE_1")
    slow.stop()
    house = make_house(EntryWorker(0)).start()
    house.queue.retry(task.id)
    done = house.wait(task)
    assert done.status == TaskStatus.COMPLETED
    assert [stage["stage"] for stage in done.result["stages"]] == ["STAGE_2", "COMPLETED"]


# -- through a server -------------------------------------------------------------------------------------------


def entries(server: ServerProcess) -> list[Any]:
    """What ``GET /api/entries`` lists."""
    listed: list[Any] = json.loads(server.get("/api/entries?limit=50")[1])["entries"]
    return listed


def create_entry(server: ServerProcess, title: str) -> None:
    """``POST /api/entries``."""
    body = json.dumps({"title": title}).encode()
    with closing(server.client()) as client:
        status, answer = client.request("POST", "/api/entries", body, {"Content-Type": "application/json"})
    assert status == 201, answer


def test_entries_go_on_from_their_stage_after_a_kill_and_record_each_stage_once(
    make_server: Callable[..., ServerProcess],
) -> None:
    server = make_server(STAGE_SECONDS="1", TASK_LOCK_SECONDS="4").start()
    for number in range(8):
        create_entry(server, f"Entry {number}")
    wait_until(lambda: any(entry["status"] == "STAGE_1" for entry in entries(server)))
    server.kill()
    server.start()
    wait_until(lambda: all(entry["status"] == "COMPLETED" for entry in entries(server)))
    assert len(entries(server)) == 8
    for entry in entries(server):
        stages = entry["result"]["stages"]
        assert [stage["stage"] for stage in stages] == ["STAGE_1", "STAGE_2", "COMPLETED"]
        assert (entry["progress"], entry["lockedBy"]) == (100, None)
        assert entry["result"]["completedAt"] == stages[-1]["reachedAt"]
    workers = {stage["worker"] for entry in entries(server) for stage in entry["result"]["stages"]}
    assert len(workers) == 2  # the first process brought some to STAGE_1, the second one all to the end


@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_a_stop_lets_a_stage_end_or_releases_it_and_the_next_start_goes_on(
    make_server: Callable[..., ServerProcess], kind: str
) -> None:
    server = make_server(SERVER=kind, STAGE_SECONDS="1").start()
    create_entry(server, "Short")
    wait_until(lambda: entries(server)[0]["lockedBy"])
    assert server.stop() == 0
    server.environment |= {"STAGE_SECONDS": "3600", "TASK_STOP_SECONDS": "1"}
    server.start()
    [short] = entries(server)
    assert short["status"] != "CREATED", "the stage that was under way at the stop has ended"
    wait_until(lambda: entries(server)[0]["lockedBy"])
    assert server.stop() == 0
    assert "1 tasks did not finish in 1 s: they are released, to run again" in server.log
    server.environment["STAGE_SECONDS"] = "0"
    server.start()
    wait_until(lambda: entries(server)[0]["status"] == "COMPLETED")
    number = entries(server)[0]["id"]
    task = server.query(f'{{ task(id: "{number}") {{ attempt error {{ code }} }} }}')["task"]
    assert task == {"attempt": 1, "error": None}, "a stop takes no attempt"
    assert server.stop() == 0
