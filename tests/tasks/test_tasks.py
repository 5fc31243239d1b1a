"""Tasks in one process: accepted, claimed, run, repeated, cancelled, scheduled, paused, stopped."""

import asyncio
from typing import Any

import pytest
from task_house import AT_ONCE, CalledWorker, Gate, MakeHouse, Work, echo

from afterwrite.tasks import upkeep
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.registry import Refusal, TaskRefused
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import NewTask, Task, TaskStatus
from afterwrite.tasks.worker import CancelAsked, TaskContext, TaskFailed, next_stage


def working(work: Work) -> CalledWorker:
    return CalledWorker(work)


async def fail(task: Task, _context: TaskContext) -> Any:
    raise TaskFailed("NO_LUCK", f"attempt {task.attempt} had no luck")


# -- accepted and run


def test_a_task_is_accepted_run_and_its_result_kept(make_house: MakeHouse) -> None:
    house = make_house(working(echo)).start()
    task = house.create(payload={"n": 1}, correlation_id="c-1")
    assert (task.status, task.progress, task.attempt) == ("PENDING", 0, 0)
    done = house.wait(task)
    assert (done.status, done.progress, done.result, done.attempt) == ("COMPLETED", 100, {"n": 1}, 1)
    assert done.locked_by is None
    assert done.created_at_us <= (done.started_at_us or 0) <= (done.finished_at_us or 0)
    assert house.queue.find_correlated("c-1") == done


def test_a_task_that_waits_when_the_workers_begin_is_run(make_house: MakeHouse) -> None:
    house = make_house(working(echo))
    task = house.create()
    assert house.get(task).status == "PENDING"
    house.start()
    assert house.wait(task).status == "COMPLETED"


def test_progress_and_stage_are_on_disk_while_the_task_runs(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(_task: Task, context: TaskContext) -> None:
        await context.progress(40, "HALF")
        await gate.wait()

    house = make_house(working(work)).start()
    task = house.create()
    running = house.wait(task, lambda now: now.progress == 40)
    assert (running.status, running.stage, running.locked_by) == ("PROCESSING", "HALF", house.queue.status().name)
    assert house.queue.types()[0].running == 1
    gate.open()
    assert house.wait(task).stage == "HALF"


def test_claims_go_by_priority_then_time_then_age(make_house: MakeHouse) -> None:
    worker = working(echo)
    worker.concurrency = 1  # type: ignore[misc]
    house = make_house(worker)
    now = house.now_us()
    late = house.create(run_at_us=now - 1_000_000)
    early = house.create(run_at_us=now - 2_000_000)
    same = house.create(run_at_us=now - 1_000_000)
    urgent = house.create(priority=5)
    house.start()
    house.wait_all([late, early, same, urgent])
    assert [task.id for task in worker.began] == [urgent.id, early.id, late.id, same.id]


def test_no_more_tasks_of_a_type_run_than_its_concurrency(make_house: MakeHouse) -> None:
    gate, at_once, most = Gate(), 0, 0

    async def work(_task: Task, _context: TaskContext) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1

    worker = working(work)
    worker.concurrency = 3  # type: ignore[misc]
    house = make_house(worker).start()
    tasks = house.queue.create_many([NewTask("called", {})] * 10)
    worker.wait_begun(3)
    assert house.queue.count(TaskFilter(frozenset({TaskStatus.PROCESSING}))) == 3
    gate.open()
    house.wait_all(tasks)
    assert most == 3


def test_a_blocking_function_runs_in_a_thread_and_the_loop_goes_on(make_house: MakeHouse) -> None:
    import threading

    held, reached = threading.Event(), threading.Event()

    def block() -> str:
        reached.set()
        assert held.wait(30)
        return threading.current_thread().name

    async def work(task: Task, context: TaskContext) -> Any:
        return await context.in_thread(block) if task.payload["block"] else "free"

    house = make_house(working(work)).start()
    blocked = house.create(payload={"block": True})
    assert reached.wait(30)
    assert house.wait(house.create(payload={"block": False})).result == "free"
    held.set()
    assert house.wait(blocked).result.startswith("task-code")


# -- repeated


def test_a_failed_attempt_is_repeated_until_the_attempts_are_used_up(make_house: MakeHouse) -> None:
    worker = working(fail)
    house = make_house(worker).start()
    done = house.wait(house.create())
    assert (done.status, done.attempt, done.max_attempts) == ("FAILED", 3, 3)
    assert done.error is not None
    assert (done.error.code, done.error.message) == ("NO_LUCK", "attempt 3 had no luck")
    assert len(worker.began) == 3


def test_an_attempt_waits_for_the_pause_of_its_type(make_house: MakeHouse) -> None:
    worker = working(fail)
    worker.retry = RetryPolicy(max_attempts=9, first_seconds=100, factor=3, jitter=0.25)  # type: ignore[misc]
    house = make_house(worker).start()
    task = house.create()
    for full_seconds in (100, 300):
        waiting = house.wait(task, lambda now: now.error_code and now.status == TaskStatus.PENDING and not now.ready)
        assert 0.75e6 * full_seconds <= waiting.run_at_us - waiting.updated_at_us <= 1e6 * full_seconds
        house.rows("UPDATE tasks SET run_at_us = 0, ready = 1, error_code = NULL")
        house.queue.resume("called")


def test_an_error_that_is_final_ends_the_task_at_once(make_house: MakeHouse) -> None:
    async def work(_task: Task, _context: TaskContext) -> None:
        raise TaskFailed("NEVER", "never", final=True)

    house = make_house(working(work)).start()
    done = house.wait(house.create())
    assert (done.status, done.attempt, done.error_is_final) == ("FAILED", 1, 1)


def test_an_error_may_say_when_to_try_again(make_house: MakeHouse) -> None:
    async def work(_task: Task, _context: TaskContext) -> None:
        raise TaskFailed("LATER", "later", retry_after_seconds=3600)

    house = make_house(working(work)).start()
    waiting = house.wait(house.create(), lambda now: now.error_code)
    assert waiting.status == "PENDING"
    assert 3500e6 < waiting.run_at_us - waiting.updated_at_us <= 3600e6


@pytest.mark.parametrize("raised", [RuntimeError("broke"), SystemExit(3), KeyboardInterrupt(), TimeoutError()])
def test_whatever_a_worker_raises_fails_its_task_only(make_house: MakeHouse, raised: BaseException) -> None:
    async def work(task: Task, _context: TaskContext) -> None:
        if task.payload:
            raise raised

    house = make_house(working(work)).start()
    failed = house.wait(house.create(payload={"raise": True}))
    assert (failed.status, failed.error_code) == ("FAILED", "WORKER_ERROR")
    assert type(raised).__name__ in (failed.error_message or "")
    assert house.wait(house.create()).status == "COMPLETED"


@pytest.mark.parametrize(
    ("result", "code"),
    [({1, 2}, "RESULT_NOT_JSON"), (float("nan"), "RESULT_NOT_JSON"), ("x" * 70_000, "RESULT_TOO_LARGE")],
)
def test_a_result_that_cannot_be_kept_fails_the_task_for_good(make_house: MakeHouse, result: Any, code: str) -> None:
    async def work(_task: Task, _context: TaskContext) -> Any:
        return result

    done = (house := make_house(working(work)).start()).wait(house.create())
    assert (done.status, done.error_code, done.attempt) == ("FAILED", code, 1)


def test_an_attempt_that_takes_longer_than_its_limit_is_ended_and_repeated(make_house: MakeHouse) -> None:
    async def work(_task: Task, context: TaskContext) -> None:
        await context.sleep(3600)

    worker = working(work)
    worker.time_limit_seconds = 0.01  # type: ignore[misc]
    house = make_house(worker).start()
    done = house.wait(house.create())
    assert (done.status, done.error_code, done.attempt) == ("FAILED", "TIME_LIMIT", 3)


def test_a_failed_task_is_tried_again_when_asked(make_house: MakeHouse) -> None:
    lucky = False

    async def work(task: Task, context: TaskContext) -> Any:
        if not lucky:
            await fail(task, context)
        return context.key("charge")

    house = make_house(working(work)).start()
    failed = house.wait(house.create())
    lucky = True
    again = house.queue.retry(failed.id)
    assert (again.status, again.attempt, again.error, again.finished_at) == ("PENDING", 0, None, None)
    done = house.wait(again)
    assert (done.status, done.attempt) == ("COMPLETED", 1)
    assert done.result == f"afterwrite-{house.store.name}-{done.id}-charge"


def test_after_a_final_error_a_retry_uses_a_new_key_for_others(make_house: MakeHouse) -> None:
    keys = []

    async def work(_task: Task, context: TaskContext) -> None:
        keys.append(context.key())
        raise TaskFailed("NEVER", "never", final=True)

    house = make_house(working(work)).start()
    task = house.create()
    house.wait(task)
    house.wait(house.queue.retry(task.id))
    assert keys == [f"afterwrite-{house.store.name}-{task.id}", f"afterwrite-{house.store.name}-{task.id}-1"]


def test_stages_release_the_lock_and_get_all_their_attempts(make_house: MakeHouse) -> None:
    async def work(task: Task, context: TaskContext) -> Any:
        if task.attempt < 3:
            await fail(task, context)
        if task.stage is None:
            return next_stage("SECOND", 50, {"first": "done"})
        return {**task.result, "second": "done"}

    worker = working(work)
    house = make_house(worker).start()
    done = house.wait(house.create())
    assert (done.status, done.result) == ("COMPLETED", {"first": "done", "second": "done"})
    assert [(task.stage, task.attempt) for task in worker.began] == [
        (stage, attempt) for stage in (None, "SECOND") for attempt in (1, 2, 3)
    ]
    assert done.claim == 6


# -- cancelled


def test_a_waiting_task_is_cancelled_at_once(make_house: MakeHouse) -> None:
    worker = working(echo)
    house = make_house(worker)
    cancelled = house.queue.cancel(house.create().id)
    assert (cancelled.status, cancelled.finished_at_us) == ("CANCELLED", cancelled.updated_at_us)
    house.start()
    house.wait(house.create())
    assert len(worker.began) == 1


def test_a_running_task_hears_of_its_cancel_through_the_context(make_house: MakeHouse) -> None:
    heard = []

    async def work(_task: Task, context: TaskContext) -> None:
        try:
            await context.sleep(3600)
        except CancelAsked as asked:
            heard.append(asked)
            raise

    worker = working(work)
    house = make_house(worker, lock_seconds=100_000).start()  # no heartbeat tells it
    task = house.create()
    worker.wait_begun()
    asked = house.queue.cancel(task.id)
    assert (asked.status, asked.cancel_asked) == ("PROCESSING", 1)
    assert house.wait(task).status == "CANCELLED"
    assert len(heard) == 1


def test_work_that_was_done_before_it_heard_of_the_cancel_is_recorded(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(_task: Task, _context: TaskContext) -> str:
        await gate.wait()
        return "charged"

    worker = working(work)
    house = make_house(worker).start()
    task = house.create()
    worker.wait_begun()
    house.queue.cancel(task.id)
    gate.open()
    done = house.wait(task)
    assert (done.status, done.result) == ("COMPLETED", "charged")


def test_an_attempt_that_fails_after_a_cancel_is_not_repeated(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(task: Task, context: TaskContext) -> None:
        await gate.wait()
        await fail(task, context)

    worker = working(work)
    house = make_house(worker).start()
    task = house.create()
    worker.wait_begun()
    house.queue.cancel(task.id)
    gate.open()
    assert house.wait(task).status == "CANCELLED"
    assert len(worker.began) == 1


def test_a_task_that_has_ended_cannot_be_cancelled_and_one_that_waits_not_be_retried(make_house: MakeHouse) -> None:
    house = make_house(working(echo))
    task = house.create()
    with pytest.raises(TaskRefused) as refused:
        house.queue.retry(task.id)
    assert refused.value.refusal is Refusal.TASK_NOT_RETRYABLE
    house.start()
    house.wait(task)
    with pytest.raises(TaskRefused, match=f"Task {task.id} is COMPLETED: only") as refused:
        house.queue.cancel(task.id)
    assert refused.value.refusal is Refusal.TASK_NOT_CANCELLABLE
    with pytest.raises(TaskRefused) as refused:
        house.queue.cancel(task.id + 1)
    assert refused.value.refusal is Refusal.TASK_NOT_FOUND


# -- scheduled, paused


def test_a_scheduled_task_starts_when_its_time_comes_and_not_at_the_next_poll(make_house: MakeHouse) -> None:
    house = make_house(working(echo)).start()
    at = house.now_us() + 300_000
    later = house.create(run_at_us=at + 3600_000_000)
    task = house.create(run_at_us=at)
    done = house.wait(task)
    assert done.started_at_us is not None
    assert 0 <= done.started_at_us - at < 4_000_000  # a poll comes every five seconds
    assert house.get(later).status == "PENDING"


def test_a_scheduled_task_starts_in_time_though_the_clock_is_corrected_while_it_waits(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_POLL_SECONDS", 3600.0)
    house = make_house(working(echo), lock_seconds=86_400)  # no poll finds the task
    real, ahead_us = house.store.now_us, 200_000
    at = real() + 1_000_000
    monkeypatch.setattr(house.store, "now_us", lambda: real() + (ahead_us if real() < at - ahead_us else 0))
    house.start()
    assert house.wait(house.create(run_at_us=at)).status == "COMPLETED"


def test_a_paused_type_starts_nothing_until_it_is_resumed_also_after_a_restart(make_house: MakeHouse) -> None:
    house = make_house(working(echo)).start()
    assert house.queue.pause("called").paused
    task = house.create()
    house.stop()
    house = make_house(working(echo)).start()
    [report] = house.queue.types()
    assert (report.paused, report.counts[TaskStatus.PENDING]) == (True, 1)
    assert not house.queue.resume("called").paused
    assert house.wait(task).status == "COMPLETED"


# -- stop


def test_a_stop_lets_running_tasks_end_and_starts_no_more(make_house: MakeHouse) -> None:
    gate = Gate()

    async def work(_task: Task, _context: TaskContext) -> str:
        await gate.wait()
        return "done"

    worker = working(work)
    worker.concurrency = 1  # type: ignore[misc]
    house = make_house(worker).start()
    running, waiting = house.create(), house.create()
    worker.wait_begun()
    house.queue.announce_stop()
    with pytest.raises(TaskRefused) as refused:
        house.create()
    assert refused.value.refusal is Refusal.SHUTTING_DOWN
    gate.open()
    house.stop()
    assert worker.closed
    later = make_house(working(work))
    assert (later.get(running).status, later.get(waiting).status) == ("COMPLETED", "PENDING")


def test_a_stop_releases_what_does_not_end_in_time_and_takes_no_attempt_for_it(make_house: MakeHouse) -> None:
    async def work(_task: Task, _context: TaskContext) -> None:
        await asyncio.sleep(3600)

    worker = working(work)
    house = make_house(worker, stop_seconds=0.05).start()
    task = house.create()
    worker.wait_begun()
    house.stop()
    released = make_house(working(echo)).get(task)
    assert (released.status, released.attempt, released.claim, released.ready) == ("PENDING", 0, 1, 1)


@pytest.mark.parametrize("attempt", [1, 2, 5, 400])
def test_pauses_grow_to_a_limit_and_differ(attempt: int) -> None:
    policy = RetryPolicy(first_seconds=2, factor=3, longest_seconds=50, jitter=0.25)
    pauses = [policy.delay_seconds(attempt) for _ in range(100)]
    full = min(50, 2 * 3 ** (attempt - 1))
    assert all(0.75 * full <= pause <= full for pause in pauses)
    assert len(set(pauses)) > 1
    assert AT_ONCE.delay_seconds(attempt) == 0
