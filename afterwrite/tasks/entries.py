"""Entries: tasks of the type "entry" as clients see them, and their status transitions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from afterwrite.base.times import from_microseconds
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.registry import Refusal, TaskRefused
from afterwrite.tasks.task import (
    ENDED,
    Completed,
    Failed,
    Outcome,
    Progress,
    StageDone,
    Stopped,
    Task,
    TaskError,
    TaskStatus,
    after,
)
from afterwrite.tasks.workers.entry import ENTRY, PROGRESS, result_of

_OUTSIDE = "outside"  # the lock holder of a change that names none
_FAILED = "FAILED_FROM_OUTSIDE"


class EntryStatus(StrEnum):
    CREATED = "CREATED"
    STAGE_1 = "STAGE_1"
    STAGE_2 = "STAGE_2"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


# Every status change by a client goes through this table, except cancelTask.
ALLOWED_MOVES: Mapping[EntryStatus, frozenset[EntryStatus]] = MappingProxyType(
    {
        EntryStatus.CREATED: frozenset({EntryStatus.STAGE_1, EntryStatus.FAILED}),
        EntryStatus.STAGE_1: frozenset({EntryStatus.STAGE_2, EntryStatus.FAILED}),
        EntryStatus.STAGE_2: frozenset({EntryStatus.COMPLETED, EntryStatus.FAILED}),
        EntryStatus.COMPLETED: frozenset(),
        EntryStatus.FAILED: frozenset(),
        EntryStatus.CANCELLED: frozenset(),
    }
)
_ENDED = frozenset(map(EntryStatus, ENDED))


class Entry(NamedTuple):
    """A task of the type "entry" as its clients see it.

    ``result`` is ``{"title", "completedAt", "stages"}`` so far, plus ``"error": {"code", "message"}`` if FAILED or
    CANCELLED.
    """

    id: int
    title: str
    status: EntryStatus
    progress: int
    result: dict[str, Any] | None
    locked_by: str | None
    locked_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: str | None


@dataclass(frozen=True, slots=True)
class EntryChange:
    """A requested change; ``status`` None keeps it, ``locked_by`` is the requester, ``error`` the reason for FAILED."""

    status: EntryStatus | None = None
    progress: int | None = None
    locked_by: str | None = None
    error: str | None = None


def entry_of(task: Task) -> Entry:
    return Entry(
        id=task.id,
        title=task.payload["title"],
        status=_status(task),
        progress=task.progress,
        result=_client_result(task),
        locked_by=task.locked_by,
        locked_at=task.locked_at,
        created_at=task.created_at,
        updated_at=task.updated_at,
        created_by=task.created_by,
    )


def entry_filter(status: EntryStatus | None, search: str, by: str | None = None) -> TaskFilter:
    """The filter for entries with this status, caller (None: any) and text in the title."""
    if status is None:
        return TaskFilter(type=ENTRY, search=search, by=by)
    if status in _ENDED:
        return TaskFilter(frozenset({TaskStatus(status.value)}), ENTRY, search=search, by=by)
    unfinished = frozenset({TaskStatus.PENDING, TaskStatus.PROCESSING})
    return TaskFilter(unfinished, ENTRY, status.value, search, by)


def moved(task: Task, change: EntryChange, now_us: int, lock_seconds: float) -> Task:
    """Apply a client's change to an entry; a pure function.

    The requester claims the lock, records and releases it in one step; if it names the current holder, it records under
    that lock. Raises TaskRefused if someone else holds a lock younger than ``lock_seconds``, the move is not allowed,
    or the progress would not rise.
    """
    if task.type != ENTRY:
        raise TaskRefused(Refusal.TASK_NOT_FOUND, f"There is no entry {task.id}", "id")
    present = _status(task)
    _check_move(task, present, change)
    is_holder = task.locked_by is not None and task.locked_by == change.locked_by
    if not is_holder:
        _check_lock(task, now_us, lock_seconds)
    held = task if is_holder else _claimed(task, change.locked_by or _OUTSIDE, now_us)
    progress = _progress(task, present, change)
    if change.status is None or change.status == present:
        reported = after(held, Progress(progress), now_us)
        return reported if is_holder else after(reported, Stopped(), now_us)
    return after(held._replace(progress=progress), _outcome(held, change, progress, now_us), now_us)


def _status(task: Task) -> EntryStatus:
    if task.has_ended:
        return EntryStatus(task.status)
    # At the stage COMPLETED the worker has finished but not yet recorded the end, which may still fail.
    return EntryStatus.STAGE_2 if task.stage == EntryStatus.COMPLETED else EntryStatus(task.stage or "CREATED")


def _client_result(task: Task) -> dict[str, Any] | None:
    if task.has_ended and task.status != TaskStatus.COMPLETED:
        code, message = ("CANCELLED", "It was cancelled") if task.error is None else task.error[:2]
        return {**(task.result or {}), "error": {"code": code, "message": message}}
    found: dict[str, Any] | None = task.result
    return found


def _check_move(task: Task, present: EntryStatus, change: EntryChange) -> None:
    wanted = present if change.status is None else change.status
    allowed = ALLOWED_MOVES[present]
    stays = wanted == present and present not in _ENDED
    if wanted not in allowed and not stays:
        may = f"it may become {' or '.join(sorted(allowed))}" if allowed else "it has ended"
        raise _not_allowed(f"Entry {task.id} is {present} and cannot become {wanted}: {may}", "status")
    if stays and (change.progress is None or change.progress <= task.progress):
        raise _not_allowed(
            f"Entry {task.id} is {present} with {task.progress} % already: give another status or more progress",
            "progress" if change.status is None else "status",
        )
    if task.cancel_asked and wanted not in _ENDED:
        raise _not_allowed(f"Entry {task.id} is being cancelled: it can only end", "status")


def _check_lock(task: Task, now_us: int, lock_seconds: float) -> None:
    if task.locked_by is None or task.locked_at_us is None:
        return
    left = lock_seconds - (now_us - task.locked_at_us) / 1_000_000
    if left > 0:
        raise TaskRefused(
            Refusal.TASK_LOCKED,
            f"Entry {task.id} is locked by {task.locked_by} for {left:.0f} s more unless it renews the lock: "
            "ask again later",
            "lockedBy",
        )


def _claimed(task: Task, by: str, now_us: int) -> Task:
    """The task with its next claim, which fences off the previous holder."""
    return task._replace(
        status=TaskStatus.PROCESSING.value,
        ready=0,
        locked_by=by,
        locked_at_us=now_us,
        claim=task.claim + 1,
        attempt=task.attempt + 1,
    )


def _progress(task: Task, present: EntryStatus, change: EntryChange) -> int:
    if change.progress is None:
        reached = 0 if change.status is None else PROGRESS.get(change.status.value, 0)
        return max(task.progress, reached)
    if change.progress < task.progress:
        raise _not_allowed(
            f"Entry {task.id} is {present} with {task.progress} %: progress {change.progress} would fall", "progress"
        )
    return change.progress


def _outcome(held: Task, change: EntryChange, progress: int, now_us: int) -> Outcome:
    assert change.status is not None
    if change.status is EntryStatus.FAILED:
        error = TaskError(_FAILED, change.error or f"{held.locked_by} gave no reason", final=True)
        return Failed(error, delay_seconds=None)
    result_json = json.dumps(result_of(held, change.status.value, from_microseconds(now_us)))
    if change.status is EntryStatus.COMPLETED:
        return Completed(result_json)
    return StageDone(change.status.value, progress, result_json)


def _not_allowed(message: str, field: str) -> TaskRefused:
    return TaskRefused(Refusal.MOVE_NOT_ALLOWED, message, field)
