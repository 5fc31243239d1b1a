"""Turns the arguments of requests into tasks, entries and processes, and refusals into what a client is told."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

from graphene.utils.str_converters import to_camel_case

from connections import Edge, Page, check_name, check_page_size, check_search, newest_first, parse_id
from database.errors import StoreError
from entries import EntryStatus, entry_filter, entry_of
from graphql_http import RequestError
from request_context import Context, database_unavailable
from tasks.listing import TaskFilter
from tasks.queue import TaskQueue
from tasks.registry import Refusal, TaskRefused
from tasks.task import NewTask, Task, TaskStatus
from tasks.workers.process_products import PROCESS_PRODUCTS
from tracing import trace_of_work
from webhooks.guarded_http import check_callback_url

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The namespace of the correlation ids that are made of idempotency keys.
_PROCESS_NAMES = uuid.UUID("8f0b8d2e-5a53-4e0b-9a7c-4f8a8c1f6f3e")


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What a client may say of any task beside its payload."""

    priority: int | None = None
    run_at: datetime | None = None
    max_attempts: int | None = None
    correlation_id: str | None = None
    callback_url: str | None = None
    idempotency_key: str | None = None


_OPTION_NAMES = frozenset(field.name for field in fields(TaskOptions))


def answering(resolve: Callable[..., T]) -> Callable[..., T]:
    """Tell a GraphQL client why a request about tasks was refused, or that the database cannot be used."""

    @wraps(resolve)
    def resolved(*args: Any, **kwargs: Any) -> T:
        try:
            return resolve(*args, **kwargs)
        except TaskRefused as error:
            told = {} if error.field is None else {"field": error.field}
            raise RequestError(error.message, code=error.refusal.value, **told) from error
        except StoreError as error:
            raise database_unavailable(error) from error

    return resolved


def create(context: Context, task_type: str, payload: Any, options: Mapping[str, Any]) -> Task:
    """Accept a task for a GraphQL client; ``options`` are those of TaskOptions. Raises TaskRefused."""
    return accept(
        context.tasks,
        task_type,
        payload,
        TaskOptions(**options),
        by=context.by,
        private_callbacks=context.private_callbacks,
    )


def create_of_arguments(context: Context, task_type: str, arguments: Mapping[str, Any]) -> Task:
    """Accept a task whose payload was given argument by argument. Raises TaskRefused, naming the argument."""
    options = {name: value for name, value in arguments.items() if name in _OPTION_NAMES}
    payload = {
        name: value for name, value in arguments.items() if name not in _OPTION_NAMES and value is not None
    }
    try:
        return create(context, task_type, payload, options)
    except TaskRefused as error:
        if error.refusal is not Refusal.INVALID_PAYLOAD or error.field is None:
            raise
        name = to_camel_case(error.field.removeprefix("payload."))
        raise TaskRefused(error.refusal, f"{name}: {error.message.partition(': ')[2]}", name) from error


def accept(
    queue: TaskQueue,
    task_type: str,
    payload: Any,
    options: TaskOptions,
    *,
    by: str | None,
    private_callbacks: bool,
) -> Task:
    """Accept a task of the caller ``by``; it is on disk when this returns. Raises TaskRefused."""
    _check_callback(options.callback_url, private_callbacks=private_callbacks)
    return queue.create(
        NewTask(
            type=task_type,
            payload=payload,
            priority=options.priority or 0,
            run_at_us=None if options.run_at is None else _microseconds("runAt", options.run_at),
            correlation_id=options.correlation_id,
            callback_url=options.callback_url,
            idempotency_key=options.idempotency_key,
            max_attempts=options.max_attempts,
            created_by=by,
            traceparent=trace_of_work(),
        )
    )


def create_process(
    queue: TaskQueue,
    payload: Any,
    callback_url: str | None,
    idempotency_key: str | None,
    *,
    by: str | None,
    private_callbacks: bool,
) -> Task:
    """Accept a process of the caller ``by``, which gets its correlation id here. Raises TaskRefused."""
    # The same request must give the same process, and the correlation id is a part of what is compared.
    name = uuid.uuid5(_PROCESS_NAMES, idempotency_key) if idempotency_key else uuid.uuid4()
    options = TaskOptions(
        correlation_id=str(name), callback_url=callback_url, idempotency_key=idempotency_key
    )
    return accept(queue, PROCESS_PRODUCTS, payload, options, by=by, private_callbacks=private_callbacks)


def find_process(queue: TaskQueue, correlation_id: str) -> Task | None:
    """The process with a correlation id, or None."""
    return queue.find_correlated(correlation_id, PROCESS_PRODUCTS)


def tasks_page(
    context: Context,
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
    return _page(context.tasks, wanted, first, after, lambda task: task)


def entries_page(
    context: Context,
    status: EntryStatus | None,
    search: str | None,
    first: int,
    after: str | None,
    *,
    by: str | None = None,
) -> Page:
    """Entries, newest first."""
    wanted = entry_filter(status, check_search(search), check_name(by))
    return _page(context.tasks, wanted, first, after, entry_of)


def actions_page(context: Context, by: str | None, first: int, after: str | None) -> Page:
    """What callers did to tasks and types, newest first."""
    check_page_size("first", first)
    before = None if after is None else parse_id("after", after)
    actions = context.tasks.newest_actions(check_name(by), before, first + 1)
    return newest_first(actions, first, after, lambda action: Edge(str(action.id), action))


def prune(context: Context, ended_before: datetime) -> int:
    """Delete the tasks that ended before a time; returns how many. Raises TaskRefused."""
    return context.tasks.prune(_microseconds("endedBefore", ended_before), context.by)


def _check_callback(url: str | None, *, private_callbacks: bool) -> None:
    """Raises TaskRefused for a callback URL that no delivery would ever be made to."""
    if url is None:
        return
    try:
        check_callback_url(url, allow_private=private_callbacks)
    except ValueError as error:
        raise TaskRefused(Refusal.INVALID_ARGUMENT, str(error), "callbackUrl") from error


def _page(
    queue: TaskQueue, wanted: TaskFilter, first: int, after: str | None, shown: Callable[[Task], Any]
) -> Page:
    check_page_size("first", first)
    before = None if after is None else parse_id("after", after)
    tasks = queue.newest(wanted, before, first + 1)
    return newest_first(
        tasks, first, after, lambda task: Edge(str(task.id), shown(task)), lambda: queue.count(wanted)
    )


def _microseconds(name: str, moment: datetime) -> int:
    if moment.tzinfo is None:
        raise TaskRefused(
            Refusal.INVALID_ARGUMENT,
            f"{name} is {moment.isoformat()}, which has no time zone: add Z for UTC or an offset such as +02:00",
            name,
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)
