"""Creates tasks, entries and jobs from request arguments, and lists them in pages."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from afterwrite.base.text import camel_case
from afterwrite.base.times import to_microseconds
from afterwrite.base.tracing import trace_of_work
from afterwrite.reads.connections import Page, check_name, check_search, newest_first
from afterwrite.tasks.entries import EntryStatus, entry_filter, entry_of
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.registry import Refusal, TaskRefused
from afterwrite.tasks.task import NewTask, Task, TaskStatus
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS

# The namespace of correlation ids derived from idempotency keys.
_PROCESS_NAMES = uuid.UUID("8f0b8d2e-5a53-4e0b-9a7c-4f8a8c1f6f3e")


# The arguments that every request for a task accepts, besides its payload.
_OPTIONS = frozenset({"priority", "run_at", "max_attempts", "correlation_id", "callback_url", "idempotency_key"})


def accept(
    queue: TaskQueue,
    task_type: str,
    payload: Any,
    options: Mapping[str, Any] = MappingProxyType({}),
    by: str | None = None,
) -> Task:
    """Accept a task for the caller ``by``; it is on disk when this returns. Raises TaskRefused.

    ``options`` are the fields of NewTask, None for each one that is omitted, and ``run_at`` (a datetime with time
    zone).
    """
    given = {name: value for name, value in options.items() if value is not None}
    run_at = given.pop("run_at", None)
    return queue.create(
        NewTask(
            type=task_type,
            payload=payload,
            run_at_us=None if run_at is None else _microseconds("runAt", run_at),
            created_by=by,
            traceparent=trace_of_work(),
            **given,
        )
    )


def accept_arguments(queue: TaskQueue, task_type: str, arguments: Mapping[str, Any], by: str | None = None) -> Task:
    """Accept a task whose payload comes as separate arguments. Raises TaskRefused, naming the argument."""
    options = {name: value for name, value in arguments.items() if name in _OPTIONS}
    payload = {name: value for name, value in arguments.items() if name not in _OPTIONS and value is not None}
    try:
        return accept(queue, task_type, payload, options, by)
    except TaskRefused as error:
        if error.refusal is not Refusal.INVALID_PAYLOAD or error.field is None:
            raise
        name = camel_case(error.field.removeprefix("payload."))
        raise TaskRefused(error.refusal, f"{name}: {error.message.partition(': ')[2]}", name) from error


def create_job(
    queue: TaskQueue, payload: Any, callback_url: str | None, idempotency_key: str | None, by: str | None = None
) -> Task:
    """Accept a job for the caller ``by`` and assign its correlation id. Raises TaskRefused."""
    # Derived from the key: a repeated request must match, and the correlation id is part of what is compared.
    name = uuid.uuid5(_PROCESS_NAMES, idempotency_key) if idempotency_key else uuid.uuid4()
    options = {"correlation_id": str(name), "callback_url": callback_url, "idempotency_key": idempotency_key}
    return accept(queue, PROCESS_PRODUCTS, payload, options, by)


def find_job(queue: TaskQueue, correlation_id: str) -> Task | None:
    """The job with a correlation id, or None."""
    return queue.find_correlated(correlation_id, PROCESS_PRODUCTS)


def tasks_page(
    queue: TaskQueue,
    status: TaskStatus | None,
    task_type: str | None,
    search: str | None,
    first: int,
    after: str | None,
    *,
    by: str | None = None,
) -> Page:
    """Tasks, newest first."""
    statuses = frozenset() if status is None else frozenset({status})
    wanted = TaskFilter(statuses, task_type, search=check_search(search), by=check_name(by))
    return newest_first(partial(queue.newest, wanted), first, after, count=partial(queue.count, wanted))


def entries_page(
    queue: TaskQueue,
    status: EntryStatus | None,
    search: str | None,
    first: int,
    after: str | None,
    *,
    by: str | None = None,
) -> Page:
    """Entries, newest first."""
    wanted = entry_filter(status, check_search(search), check_name(by))
    count = partial(queue.count, wanted)
    return newest_first(partial(queue.newest, wanted), first, after, shown=entry_of, count=count)


def actions_page(queue: TaskQueue, by: str | None, first: int, after: str | None) -> Page:
    """The log of actions on tasks and types, newest first."""
    return newest_first(lambda before, limit: queue.newest_actions(check_name(by), before, limit), first, after)


def prune(queue: TaskQueue, ended_before: datetime, by: str | None = None) -> int:
    """Delete the tasks that ended before a time; returns how many. Raises TaskRefused."""
    return queue.prune(_microseconds("endedBefore", ended_before), by)


def _microseconds(name: str, moment: datetime) -> int:
    if moment.tzinfo is None:
        raise TaskRefused(
            Refusal.INVALID_ARGUMENT,
            f"{name} is {moment.isoformat()}, which has no time zone: add Z for UTC or an offset such as +02:00",
            name,
        )
    return to_microseconds(moment)
