"""GraphQL subscriptions to tasks as they change."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing
from typing import Any

import graphene

from afterwrite.graphql.fields import event_field, resolver_of
from afterwrite.graphql.task_types import Task
from afterwrite.graphql_http import KEEP_ALIVE, RequestError
from afterwrite.reads.connections import parse_id
from afterwrite.service.context import Context, events_answered
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.watching import TaskWatch, WatchTooSlow

_KEEP_ALIVE_SECONDS = 15.0


def _task_updated(context: Context, id: str) -> AsyncIterator[Any]:  # noqa: A002
    """Check first, so that a wrong id gets an error and not a broken stream."""
    task_id = parse_id("id", id)
    if context.tasks.find(task_id) is None:
        raise RequestError(f"id is {id!r}: there is no such task", code="TASK_NOT_FOUND", field="id")
    return events_answered(_until_ended(context.tasks, task_id))


def _tasks_updated(context: Context, type: str | None = None) -> AsyncIterator[Any]:  # noqa: A002
    return events_answered(_changes_of_type(context.tasks, type))


class Subscription(graphene.ObjectType):
    """Tasks as they change; quick successive states may be skipped."""

    task_updated = event_field(
        Task, "The current task, then each change; completes when the task has ended", id=graphene.ID(required=True)
    )
    subscribe_task_updated = resolver_of(_task_updated)
    tasks_updated = event_field(Task, "Every task that changes, of one type or of all types", type=graphene.String())
    subscribe_tasks_updated = resolver_of(_tasks_updated)


async def _until_ended(queue: TaskQueue, task_id: int) -> AsyncIterator[Any]:
    with closing(queue.watch(task_id=task_id)) as watch:
        # Read after the watch has begun, so that no change is missed between the two.
        task = await asyncio.to_thread(queue.find, task_id)
        if task is not None:
            yield task
        if task is None or task.has_ended:
            return
        async with aclosing(_changes(queue, watch)) as changes:
            async for changed in changes:
                if changed is KEEP_ALIVE and await asyncio.to_thread(queue.find, task_id) is None:
                    return  # it has ended and been pruned
                if changed != task:
                    yield changed
                if changed is not KEEP_ALIVE and changed.has_ended:
                    return


async def _changes_of_type(queue: TaskQueue, task_type: str | None) -> AsyncIterator[Any]:
    with closing(queue.watch(task_type=task_type)) as watch:
        async with aclosing(_changes(queue, watch)) as changes:
            async for changed in changes:
                yield changed


async def _changes(queue: TaskQueue, watch: TaskWatch) -> AsyncGenerator[Any, None]:
    while True:
        try:
            changed = await watch.changes(_KEEP_ALIVE_SECONDS)
        except WatchTooSlow as error:
            message = "This stream is read too slowly for the number of changes: subscribe again to fewer tasks"
            raise RequestError(message, code="STREAM_TOO_SLOW") from error
        for task in changed:
            yield task
        if queue.stop_announced:
            raise RequestError("The server is stopping: subscribe again shortly", code="SHUTTING_DOWN")
        if not changed:
            yield KEEP_ALIVE
