"""What an entry is, and which moves are allowed from outside: the rules alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwrite.tasks.entries import ALLOWED_MOVES, EntryChange, EntryStatus, entry_filter, entry_of, moved
from afterwrite.tasks.registry import TaskRefused
from afterwrite.tasks.task import (
    Completed,
    Failed,
    Outcome,
    StageDone,
    Task,
    TaskError,
    TaskStatus,
    after,
    asked_to_cancel,
)
from afterwrite.tasks.workers.entry import PROGRESS

LOCK_SECONDS = 120.0
NOW = 2_000_000_000_000_000
CREATED, STAGE_1, STAGE_2 = EntryStatus.CREATED, EntryStatus.STAGE_1, EntryStatus.STAGE_2
COMPLETED, FAILED, CANCELLED = EntryStatus.COMPLETED, EntryStatus.FAILED, EntryStatus.CANCELLED


def entry_task(stage: str = "CREATED", progress: int | None = None, **more: Any) -> Task:
    """The task of an entry that waits at a stage."""
    fields: dict[str, Any] = dict.fromkeys(Task._fields)
    fields |= {"id": 1, "type": "entry", "status": "PENDING", "stage": stage, "payload_json": '{"title": "Lamp"}'}
    fields |= dict.fromkeys(("error_is_final", "attempt", "priority", "cancel_asked", "renewals", "claim"), 0)
    fields |= {"progress": PROGRESS[stage] if progress is None else progress, "max_attempts": 5, "ready": 1}
    fields |= {"run_at_us": NOW - 10, "created_at_us": NOW - 10, "updated_at_us": NOW - 10}
    return Task(**fields | more)


def locked(task: Task, by: str = "worker", seconds_ago: float = 1) -> Task:
    """The task in the hands of a worker."""
    at = NOW - int(seconds_ago * 1_000_000)
    return task._replace(status="PROCESSING", ready=0, locked_by=by, locked_at_us=at, claim=1, attempt=1)


def change(task: Task, status: EntryStatus | None = None, progress: int | None = None, **more: Any) -> Task:
    """The task after a change from outside."""
    return moved(task, EntryChange(status, progress, **more), NOW, LOCK_SECONDS)


def refusal(task: Task, status: EntryStatus | None = None, progress: int | None = None, **more: Any) -> str:
    """The code of a change that is refused."""
    with pytest.raises(TaskRefused) as refused:
        change(task, status, progress, **more)
    return refused.value.refusal.value


def ended(status: EntryStatus) -> Task:
    """The task of an entry that has ended."""
    outcomes: dict[EntryStatus, Outcome] = {
        COMPLETED: Completed("{}"),
        FAILED: Failed(TaskError("BROKEN", "It broke"), None),
    }
    if status == CANCELLED:
        return asked_to_cancel(entry_task(), NOW)
    return after(locked(entry_task()), outcomes[status], NOW)


def at(status: EntryStatus) -> Task:
    """The task of an entry with this status."""
    return ended(status) if status in (COMPLETED, FAILED, CANCELLED) else entry_task(status.value)


@pytest.mark.parametrize("present", EntryStatus)
@pytest.mark.parametrize("wanted", EntryStatus)
def test_every_move_is_allowed_by_the_table_or_refused(present: EntryStatus, wanted: EntryStatus) -> None:
    task = at(present)
    assert entry_of(task).status == present
    if wanted not in ALLOWED_MOVES[present]:
        assert refusal(task, wanted) == "MOVE_NOT_ALLOWED"
        return
    entry = entry_of(change(task, wanted))
    assert entry.status == wanted
    assert entry.progress == PROGRESS.get(wanted.value, task.progress)
    assert (entry.locked_by, entry.locked_at) == (None, None)


def test_moves_from_outside_leave_what_the_worker_would_have_left() -> None:
    task = entry_task()
    for status in (STAGE_1, STAGE_2, COMPLETED):
        task = change(task, status, locked_by="someone")
    result = entry_of(task).result
    assert result is not None
    assert [(stage["stage"], stage["worker"]) for stage in result["stages"]] == [
        ("STAGE_1", "someone"),
        ("STAGE_2", "someone"),
        ("COMPLETED", "someone"),
    ]
    assert result["title"] == "Lamp"
    assert result["completedAt"] == result["stages"][-1]["reachedAt"] == "2033-05-18T03:33:20+00:00"
    assert (task.status, task.finished_at_us, task.progress) == ("COMPLETED", NOW, 100)


def test_between_two_moves_the_entry_is_in_line_for_its_worker() -> None:
    task = change(entry_task(), STAGE_1)
    assert (task.status, task.stage, task.progress, task.ready, task.attempt) == ("PENDING", "STAGE_1", 33, 1, 0)
    assert task.claim == 1


def test_why_an_entry_failed_is_in_its_result() -> None:
    entry = entry_of(change(entry_task("STAGE_1"), FAILED, error="out of paper"))
    assert entry.result == {"error": {"code": "FAILED_FROM_OUTSIDE", "message": "out of paper"}}
    assert entry.progress == 33
    unsaid = entry_of(change(entry_task(), FAILED)).result
    assert unsaid == {"error": {"code": "FAILED_FROM_OUTSIDE", "message": "outside gave no reason"}}
    assert entry_of(ended(FAILED)).result == {"error": {"code": "BROKEN", "message": "It broke"}}
    cancelled = entry_of(ended(CANCELLED)).result
    assert cancelled == {"error": {"code": "CANCELLED", "message": "It was cancelled"}}


def test_an_entry_that_another_one_has_locked_is_left_alone_until_the_lock_expires() -> None:
    fresh = locked(entry_task(), seconds_ago=LOCK_SECONDS - 0.1)
    assert refusal(fresh, STAGE_1) == "TASK_LOCKED"
    assert refusal(fresh, STAGE_1, locked_by="another") == "TASK_LOCKED"
    assert change(fresh, STAGE_1, locked_by="worker").stage == "STAGE_1"
    expired = locked(entry_task(), seconds_ago=LOCK_SECONDS)
    taken = change(expired, STAGE_1, locked_by="another")
    assert (taken.stage, taken.claim, taken.locked_by) == ("STAGE_1", 2, None)


def test_who_had_the_lock_before_can_record_nothing_after_a_move() -> None:
    expired = locked(entry_task(), seconds_ago=LOCK_SECONDS)
    assert change(expired, None, 10).claim == expired.claim + 1


def test_progress_alone_is_recorded_and_the_lock_stays_with_its_holder() -> None:
    free = change(entry_task(), None, 10)
    assert (free.progress, free.status, free.stage, free.attempt, free.locked_by) == (10, "PENDING", "CREATED", 0, None)
    held = change(locked(entry_task()), CREATED, 10, locked_by="worker")
    assert (held.progress, held.status, held.locked_by, held.locked_at_us) == (10, "PROCESSING", "worker", NOW)


@pytest.mark.parametrize("progress", [0, 33, 34])
def test_progress_must_rise_where_the_status_stays(progress: int) -> None:
    task = entry_task("STAGE_1", 34)
    assert refusal(task, STAGE_1, progress) == "MOVE_NOT_ALLOWED"
    assert refusal(task, None, progress) == "MOVE_NOT_ALLOWED"


def test_progress_must_not_fall_with_a_move_and_stays_where_it_is_ahead() -> None:
    task = entry_task("CREATED", 40)
    assert refusal(task, STAGE_1, 39) == "MOVE_NOT_ALLOWED"
    assert change(task, STAGE_1, 40).progress == 40
    assert change(task, STAGE_1).progress == 40
    assert change(task, FAILED).progress == 40
    assert change(task, FAILED, 41).progress == 41


def test_an_entry_that_is_being_cancelled_can_only_end() -> None:
    task = locked(entry_task("STAGE_1"))._replace(cancel_asked=1)
    assert refusal(task, STAGE_2, locked_by="worker") == "MOVE_NOT_ALLOWED"
    assert change(task, FAILED, locked_by="worker").status == "FAILED"


def test_another_task_is_no_entry() -> None:
    assert refusal(entry_task()._replace(type="other"), STAGE_1) == "TASK_NOT_FOUND"


def test_at_the_stage_completed_the_end_is_not_yet_recorded() -> None:
    task = locked(entry_task("COMPLETED"))
    assert entry_of(task).status == STAGE_2
    assert entry_of(after(task, Completed("{}"), NOW)).status == COMPLETED


@pytest.mark.parametrize("status", EntryStatus)
def test_the_filter_of_a_status_lets_just_its_entries_through(status: EntryStatus) -> None:
    wanted = entry_filter(status, "lamp")
    assert (wanted.type, wanted.search) == ("entry", "lamp")
    through = {
        other
        for other in EntryStatus
        for task in [at(other)]
        if TaskStatus(task.status) in wanted.statuses and wanted.stage in (None, task.stage)
    }
    assert through == {status}
    assert entry_filter(None, "").statuses == frozenset()


CHANGES = st.builds(
    EntryChange,
    status=st.sampled_from(EntryStatus) | st.none(),
    progress=st.integers(0, 100) | st.none(),
    locked_by=st.sampled_from(["worker", "another", None]),
    error=st.none() | st.text(max_size=5),
)
EVENTS = st.lists(CHANGES | st.sampled_from(["claim", "stage", "cancel"]), max_size=12)


@given(EVENTS)
def test_whatever_is_asked_an_entry_only_goes_forward(events: list[Any]) -> None:
    task, order = entry_task(), list(EntryStatus)
    for event in events:
        before = task
        if isinstance(event, EntryChange):
            try:
                task = moved(task, event, NOW, LOCK_SECONDS)
            except TaskRefused:
                continue
            assert entry_of(task).status == (event.status or entry_of(before).status)
            assert before.locked_by is None or before.locked_by == event.locked_by
        elif event == "claim" and task.status == "PENDING":
            task = locked(task)._replace(claim=task.claim + 1)
        elif event == "stage" and task.status == "PROCESSING" and task.stage == "CREATED":
            task = after(task, StageDone("STAGE_1", max(33, task.progress), json.dumps({"stages": []})), NOW)
        elif event == "cancel" and not task.has_ended:
            task = asked_to_cancel(task, NOW)
        assert task.progress >= before.progress
        assert order.index(entry_of(task).status) >= order.index(entry_of(before).status)
        assert not before.has_ended or task == before
        assert (task.status == "PROCESSING") == (task.locked_by is not None)
