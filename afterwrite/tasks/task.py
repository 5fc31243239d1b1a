"""The task: its fields, its statuses and the transitions between them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import unprintable_character
from afterwrite.base.times import from_microseconds

PROGRESS_MAX = 100
STAGE_MAX = 100
LONGEST_DELAY_SECONDS = 30 * 24 * 3600


class TaskStatus(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


# Every status change goes through this table. PROCESSING goes back to PENDING for a retry, for the next stage, or when
# the worker stops; PROCESSING to PROCESSING is progress.
ALLOWED_MOVES: Mapping[TaskStatus, frozenset[TaskStatus]] = MappingProxyType(
    {
        TaskStatus.PENDING: frozenset({TaskStatus.PROCESSING, TaskStatus.CANCELLED}),
        TaskStatus.PROCESSING: frozenset(TaskStatus),
        TaskStatus.COMPLETED: frozenset(),
        TaskStatus.FAILED: frozenset({TaskStatus.PENDING}),
        TaskStatus.CANCELLED: frozenset({TaskStatus.PENDING}),
    }
)
ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})


class MoveNotAllowed(Refused):
    """The requested status change is not allowed."""

    def __init__(self, task_id: int, status: TaskStatus, wanted: TaskStatus) -> None:
        allowed = ", ".join(sorted(ALLOWED_MOVES[status])) or "nothing: it has ended"
        message = f"Task {task_id} is {status} and cannot become {wanted}; allowed is {allowed}"
        super().__init__([Problem(None, message, "MOVE_NOT_ALLOWED")])
        self.task_id, self.status, self.wanted = task_id, status, wanted


class TaskError(NamedTuple):
    """Why a task failed: a code for programs, a message for people, and whether retrying is pointless (``final``)."""

    code: str
    message: str
    final: bool = False


class Task(NamedTuple):
    """A task as stored; its fields are the columns. Times are microseconds since 1970 in UTC.

    The lock is ``locked_by``, ``locked_at_us`` and ``claim``. ``claim`` is a fencing token: it rises with every claim,
    so a worker that lost its lock is never mistaken for the current holder, even within one process. ``attempt`` counts
    the claims of this stage, up to ``max_attempts``. ``renewals`` counts the retries after a final error, each of which
    changes the idempotency key of outside calls. ``created_by`` is the name of the caller, None if anonymous.
    ``traceparent`` is the W3C Trace Context of the task.
    """

    id: int
    type: str
    status: str
    progress: int
    stage: str | None
    payload_json: str
    result_json: str | None
    error_code: str | None
    error_message: str | None
    error_is_final: int
    attempt: int
    max_attempts: int
    priority: int
    run_at_us: int
    ready: int
    cancel_asked: int
    correlation_id: str | None
    callback_url: str | None
    idempotency_key: str | None
    renewals: int
    claim: int
    locked_by: str | None
    locked_at_us: int | None
    created_at_us: int
    updated_at_us: int
    started_at_us: int | None
    finished_at_us: int | None
    created_by: str | None = None
    traceparent: str | None = None

    @property
    def payload(self) -> Any:
        return json.loads(self.payload_json)

    @property
    def result(self) -> Any:
        """The result; while a staged task runs, the result of its latest stage."""
        return None if self.result_json is None else json.loads(self.result_json)

    @property
    def error(self) -> TaskError | None:
        """The last error; while the task waits for a retry, the error that caused it."""
        if self.error_code is None:
            return None
        return TaskError(self.error_code, self.error_message or "", bool(self.error_is_final))

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def run_at(self) -> datetime:
        """The earliest time at which the task may be claimed."""
        return from_microseconds(self.run_at_us)

    @property
    def created_at(self) -> datetime:
        return from_microseconds(self.created_at_us)

    @property
    def updated_at(self) -> datetime:
        """When the task last changed; renewals of its lock do not count."""
        return from_microseconds(self.updated_at_us)

    @property
    def locked_at(self) -> datetime | None:
        """When the lock was last claimed or renewed."""
        return None if self.locked_at_us is None else from_microseconds(self.locked_at_us)

    @property
    def started_at(self) -> datetime | None:
        """When the task was first claimed."""
        return None if self.started_at_us is None else from_microseconds(self.started_at_us)

    @property
    def finished_at(self) -> datetime | None:
        return None if self.finished_at_us is None else from_microseconds(self.finished_at_us)


class NewTask(NamedTuple):
    """A request for a task; all fields but ``payload``, a JSON value, are columns.

    ``run_at_us`` None is at once; ``max_attempts`` and ``stage`` None take the default of the type.
    """

    type: str
    payload: Any
    priority: int = 0
    run_at_us: int | None = None
    correlation_id: str | None = None
    callback_url: str | None = None
    idempotency_key: str | None = None
    max_attempts: int | None = None
    stage: str | None = None
    created_by: str | None = None
    traceparent: str | None = None


# -- outcomes of a claim; a worker's run ends with one of the first five -------------------------------------


@dataclass(frozen=True, slots=True)
class Completed:
    result_json: str | None


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage is done: the task is requeued for ``stage`` with its full number of attempts."""

    stage: str
    progress: int
    result_json: str | None
    delay_seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_progress(self.progress, self.stage)
        if not 0 <= self.delay_seconds <= LONGEST_DELAY_SECONDS:
            raise ValueError(f"delay_seconds is {self.delay_seconds}: give 0 to {LONGEST_DELAY_SECONDS}")


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed; it is retried after ``delay_seconds``, or never if that is None."""

    error: TaskError
    delay_seconds: float | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker stopped before the work was done; the attempt does not count."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The worker ended the run because the task was cancelled."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The run continues; ``stage`` None leaves the stage unchanged."""

    percent: int
    stage: str | None = None

    def __post_init__(self) -> None:
        _check_progress(self.percent, self.stage)


_NO_ERROR: Mapping[str, Any] = {"error_code": None, "error_message": None, "error_is_final": 0}
_UNLOCKED: Mapping[str, Any] = {"locked_by": None, "locked_at_us": None, "cancel_asked": 0}

Outcome = Completed | StageDone | Failed | Stopped | Cancelled | Progress


def after(task: Task, outcome: Outcome, now_us: int) -> Task:
    """Apply an outcome to a task; a pure function. Raises MoveNotAllowed.

    A task with a pending cancel is CANCELLED instead of requeued. If its attempt failed, it keeps the error, which may
    say what was already done.
    """
    if task.status != TaskStatus.PROCESSING:
        raise MoveNotAllowed(task.id, TaskStatus(task.status), TaskStatus.PROCESSING)
    if task.cancel_asked and isinstance(outcome, StageDone | Stopped):
        outcome = Cancelled()
    match outcome:
        case Completed(result_json):
            return _end(task, TaskStatus.COMPLETED, now_us, progress=PROGRESS_MAX, result_json=result_json, **_NO_ERROR)
        case StageDone(stage, progress, result_json, delay_seconds):
            return _wait(task, now_us, delay_seconds)._replace(
                stage=stage, progress=progress, result_json=result_json, attempt=0, **_NO_ERROR
            )
        case Failed(error, delay_seconds):
            failed = task._replace(error_code=error.code, error_message=error.message, error_is_final=int(error.final))
            if delay_seconds is None:
                return _end(failed, TaskStatus.FAILED, now_us)
            if task.cancel_asked:
                return _end(failed, TaskStatus.CANCELLED, now_us)
            return _wait(failed, now_us, delay_seconds)
        case Stopped():
            return _wait(task, now_us, 0.0)._replace(attempt=task.attempt - 1)
        case Cancelled():
            return _end(task, TaskStatus.CANCELLED, now_us)
        case Progress(percent, stage):
            return _moved(task, TaskStatus.PROCESSING, now_us)._replace(
                progress=percent, stage=task.stage if stage is None else stage, locked_at_us=now_us
            )


def concluded(task: Task, outcome: Completed | Failed, now_us: int, stage: str | None) -> Task:
    """End a task whose outcome did not come from its worker, and revoke the worker's claim.

    Raises MoveNotAllowed if it has ended.
    """
    taken = task
    if task.status != TaskStatus.PROCESSING:
        started = now_us if task.started_at_us is None else task.started_at_us
        taken = _moved(task, TaskStatus.PROCESSING, now_us, ready=0, started_at_us=started)
    ended = after(taken, outcome, now_us)
    return ended._replace(claim=task.claim + 1, stage=task.stage if stage is None else stage)


def asked_to_cancel(task: Task, now_us: int) -> Task:
    """The task after ``cancelTask``: ended at once while it waits, flagged for its worker while it runs."""
    if task.status == TaskStatus.PROCESSING:
        return task._replace(cancel_asked=1, updated_at_us=now_us)
    return _end(task, TaskStatus.CANCELLED, now_us)


def asked_again(task: Task, now_us: int) -> Task:
    """The task after ``retryTask``: queued again with all its attempts, from the stage that it had reached.

    Raises MoveNotAllowed unless it is FAILED or CANCELLED: a running task would lose its lock.
    """
    if task.status not in (TaskStatus.FAILED, TaskStatus.CANCELLED):
        raise MoveNotAllowed(task.id, TaskStatus(task.status), TaskStatus.PENDING)
    return _wait(task, now_us, 0.0)._replace(
        attempt=0,
        finished_at_us=None,
        # After a final error the work starts over; otherwise the first start counts, for outside calls may still be
        # under way.
        started_at_us=None if task.error_is_final else task.started_at_us,
        renewals=task.renewals + task.error_is_final,
        **_NO_ERROR,
    )


def _moved(task: Task, status: TaskStatus, now_us: int, **changes: Any) -> Task:
    if status not in ALLOWED_MOVES[TaskStatus(task.status)]:
        raise MoveNotAllowed(task.id, TaskStatus(task.status), status)
    return task._replace(status=status.value, updated_at_us=now_us, **changes)


def _end(task: Task, status: TaskStatus, now_us: int, **changes: Any) -> Task:
    return _moved(task, status, now_us, finished_at_us=now_us, ready=0, **_UNLOCKED, **changes)


def _wait(task: Task, now_us: int, delay_seconds: float) -> Task:
    run_at_us = now_us + int(delay_seconds * 1_000_000)
    # An interrupted task keeps its place in the queue, ahead of later ones.
    run_at_us = run_at_us if delay_seconds > 0 else min(task.run_at_us, run_at_us)
    is_ready = int(run_at_us <= now_us)
    return _moved(task, TaskStatus.PENDING, now_us, run_at_us=run_at_us, ready=is_ready, **_UNLOCKED)


def _check_progress(percent: Any, stage: Any) -> None:
    if type(percent) is not int or not 0 <= percent <= PROGRESS_MAX:
        raise ValueError(f"progress is {percent!r}: give a whole number of 0 to {PROGRESS_MAX}")
    if stage is not None and not (
        isinstance(stage, str) and 1 <= len(stage) <= STAGE_MAX and not unprintable_character(stage)
    ):
        raise ValueError(f"stage is {stage!r}: give a name of 1 to {STAGE_MAX} printable characters")


def leaves(value: Any) -> Sequence[str]:
    """Every string and number in a JSON value, without the keys: the text that task search matches."""
    if isinstance(value, Mapping):
        return [text for part in value.values() for text in leaves(part)]
    if isinstance(value, list):
        return [text for part in value for text in leaves(part)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
