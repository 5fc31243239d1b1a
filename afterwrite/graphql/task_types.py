"""GraphQL types and queries of tasks and entries."""

from typing import Any

import graphene

from afterwrite.graphql.fields import connection_of, field, page_field
from afterwrite.graphql.scalars import JSON
from afterwrite.reads.connections import Page, parse_id
from afterwrite.service.context import Context, answering
from afterwrite.tasks import requests
from afterwrite.tasks.actions import ActionKind
from afterwrite.tasks.actions import TaskAction as StoredAction
from afterwrite.tasks.entries import Entry as StoredEntry
from afterwrite.tasks.entries import EntryStatus, entry_of
from afterwrite.tasks.listing import TypeReport
from afterwrite.tasks.task import Task as StoredTask
from afterwrite.tasks.task import TaskStatus
from afterwrite.tasks.workers.entry import ENTRY

TaskStatusEnum = graphene.Enum.from_enum(TaskStatus, name="TaskStatus")
EntryStatusEnum = graphene.Enum.from_enum(EntryStatus, name="EntryStatus")
ActionKindEnum = graphene.Enum.from_enum(ActionKind, name="TaskActionKind")


class TaskError(graphene.ObjectType):
    """The reason why a task FAILED or is retried."""

    code = graphene.String(required=True)
    message = graphene.String(required=True)


class TaskAction(graphene.ObjectType):
    """An action of a caller on an accepted task, on a task type, or on all tasks that ended before a time."""

    id = graphene.ID(required=True)
    task_id = graphene.ID(description="Null for an action on a type or on many tasks")
    type = graphene.String(description="The task type; null for an action on tasks of every type")
    action = ActionKindEnum(required=True)
    by = graphene.String(description="The name of the caller's key; null without one")
    at = graphene.DateTime(required=True)


class Task(graphene.ObjectType):
    """A durable unit of work with side effects, run after the response."""

    id = graphene.ID(required=True)
    type = graphene.String(required=True)
    status = TaskStatusEnum(required=True)
    progress = graphene.Int(required=True, description="0 to 100")
    stage = graphene.String(description="The current stage of a task with stages")
    payload = JSON(required=True, description="The input")
    result = JSON(description="The result; of a task with stages, the result so far")
    error = graphene.Field(TaskError)
    attempt = graphene.Int(required=True, description="Attempts started, of this stage")
    max_attempts = graphene.Int(required=True)
    priority = graphene.Int(required=True, description="Highest first")
    run_at = graphene.DateTime(required=True, description="Earliest start")
    correlation_id = graphene.String()
    callback_url = graphene.String(description="Receives the outcome as a POST")
    locked_by = graphene.String(description="The worker that runs it")
    locked_at = graphene.DateTime(description="The last heartbeat of that worker")
    created_at = graphene.DateTime(required=True)
    created_by = graphene.String(description="The name of the creator's key; null without one")
    updated_at = graphene.DateTime(required=True)
    started_at = graphene.DateTime()
    finished_at = graphene.DateTime()
    actions = graphene.List(
        graphene.NonNull(TaskAction), required=True, description="The actions of callers on it, newest last"
    )

    @staticmethod
    @answering
    def resolve_actions(root: StoredTask, info: graphene.ResolveInfo) -> list[StoredAction]:
        found: list[StoredAction] = info.context.tasks.actions(root.id)
        return found


class TaskCount(graphene.ObjectType):
    """The number of tasks with a status."""

    status = TaskStatusEnum(required=True)
    count = graphene.Int(required=True)


class TaskType(graphene.ObjectType):
    """A task type; durations are those of its newest 1,000 completed tasks, from the first claim to the end."""

    type = graphene.String(required=True)
    counts = graphene.List(graphene.NonNull(TaskCount), required=True, description="One for each status")
    paused = graphene.Boolean(required=True, description="No task of this type is started")
    paused_by = graphene.String(description="The name of the key that paused it; null without one")
    paused_at = graphene.DateTime(description="Null unless it is paused")
    concurrency = graphene.Int(required=True, description="Maximum number of concurrent tasks")
    running = graphene.Int(required=True)
    duration_p50_ms = graphene.Float(name="p50DurationMs", description="The median; null while none has completed")
    duration_p95_ms = graphene.Float(name="p95DurationMs")

    @staticmethod
    def resolve_counts(root: TypeReport, _info: object) -> list[dict[str, Any]]:
        return [{"status": status, "count": root.counts[status]} for status in TaskStatus]


class Entry(graphene.ObjectType):
    """A task of the type "entry", which goes from CREATED through STAGE_1 and STAGE_2 to COMPLETED."""

    id = graphene.ID(required=True, description="The id of its task")
    title = graphene.String(required=True)
    status = EntryStatusEnum(required=True)
    progress = graphene.Int(required=True, description="0, 33, 66 and 100 at the stages, or between")
    result = JSON(description="The times of its stages; the error if it FAILED")
    locked_by = graphene.String()
    locked_at = graphene.DateTime()
    created_at = graphene.DateTime(required=True)
    updated_at = graphene.DateTime(required=True)
    created_by = graphene.String(description="The name of the creator's key; null without one")


def _find_task(context: Context, id: str) -> StoredTask | None:  # noqa: A002
    return context.tasks.find(parse_id("id", id))


def _find_entry(context: Context, id: str) -> StoredEntry | None:  # noqa: A002
    found = _find_task(context, id)
    return entry_of(found) if found is not None and found.type == ENTRY else None


def _tasks(
    context: Context,
    size: int,
    after: str | None,
    status: TaskStatus | None = None,
    type: str | None = None,  # noqa: A002
    search: str | None = None,
    by: str | None = None,
) -> Page:
    return requests.tasks_page(context.tasks, status, type, search, size, after, by=by)


def _entries(
    context: Context,
    size: int,
    after: str | None,
    status: EntryStatus | None = None,
    search: str | None = None,
    by: str | None = None,
) -> Page:
    return requests.entries_page(context.tasks, status, search, size, after, by=by)


class Query(graphene.ObjectType):
    """Queries of tasks."""

    task = field(Task, _find_task, id=graphene.ID(required=True))
    tasks = page_field(
        connection_of(Task, "Task", "A page of tasks, newest first.", total="Tasks that match the filters"),
        _tasks,
        "Tasks, newest first",
        status=TaskStatusEnum(),
        type=graphene.String(),
        search=graphene.String(description="Substring of payload, type or correlation id, case-insensitive"),
        by=graphene.String(description="The name of the creator's key"),
    )
    task_actions = page_field(
        connection_of(TaskAction, "TaskAction", "A page of actions, newest first."),
        lambda context, size, after, by=None: requests.actions_page(context.tasks, by, size, after),
        "The actions of callers on tasks and types, newest first",
        by=graphene.String(description="The name of the caller's key"),
    )
    task_types = field(graphene.List(graphene.NonNull(TaskType)), lambda context: context.tasks.types(), required=True)
    entry = field(Entry, _find_entry, id=graphene.ID(required=True))
    entries = page_field(
        connection_of(Entry, "Entry", "A page of entries, newest first.", total="Entries that match the filters"),
        _entries,
        "Entries, newest first",
        status=EntryStatusEnum(),
        search=graphene.String(),
        by=graphene.String(description="The name of the creator's key"),
    )
    process = field(
        Task,
        lambda context, correlation_id: requests.find_job(context.tasks, correlation_id),
        "The job with this correlation id",
        correlation_id=graphene.String(required=True),
    )
