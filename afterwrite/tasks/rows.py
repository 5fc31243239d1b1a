"""Converts tasks to table rows and back."""

from collections.abc import Mapping
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from afterwrite.tasks import statements as sql
from afterwrite.tasks.task import NewTask, Task, TaskStatus

_EMPTY = dict.fromkeys(Task._fields)
_NEW_NAMES = [f"new_{name}" for name in sql.CHANGED]
_values_of_task = itemgetter(*Task._fields)
_changed_of = attrgetter(*sql.CHANGED)


class Prepared(NamedTuple):
    """A validated task: the request, and what its type adds."""

    new: NewTask
    payload_json: str
    max_attempts: int
    stage: str | None
    search_text: str
    fingerprint: str


def task_of(row: Mapping[str, Any]) -> Task:
    """The task in a row, without the columns that only the table has."""
    return Task._make(_values_of_task(row))


def new_row(task_id: int, prepared: Prepared, now: int) -> dict[str, Any]:
    """The row of a new task; ``now`` is in microseconds since 1970."""
    new = prepared.new
    run_at = now if new.run_at_us is None else new.run_at_us
    return _EMPTY | {
        "id": task_id,
        "type": new.type,
        "status": TaskStatus.PENDING.value,
        "progress": 0,
        "stage": prepared.stage,
        "payload_json": prepared.payload_json,
        "error_is_final": 0,
        "attempt": 0,
        "max_attempts": prepared.max_attempts,
        "priority": new.priority,
        "run_at_us": run_at,
        "ready": int(run_at <= now),
        "cancel_asked": 0,
        "correlation_id": new.correlation_id,
        "callback_url": new.callback_url,
        "idempotency_key": new.idempotency_key,
        "renewals": 0,
        "claim": 0,
        "created_at_us": now,
        "updated_at_us": now,
        "search_text": prepared.search_text,
        "fingerprint": prepared.fingerprint if new.idempotency_key else None,
        "created_by": new.created_by,
        "traceparent": new.traceparent,
    }


def saving(before: Task, new: Task) -> dict[str, Any]:
    """The parameters of the save statements to replace ``before`` with ``new``."""
    values = dict(zip(_NEW_NAMES, _changed_of(new), strict=True))
    values |= {"of_id": before.id, "of_claim": before.claim, "of_status": before.status}
    values["of_cancel_asked"] = before.cancel_asked
    return values
