"""GraphQL types and queries of tasks and entries."""

from typing import Any

import graphene

from afterwrite.graphql.pages import connection_of
from afterwrite.graphql.scalars import JSON
from afterwrite.graphql.task_action_types import TaskAction, TaskActionConnection
from afterwrite.reads.connections import PAGE_DEFAULT, PAGE_MAX, Page, parse_id
from afterwrite.service.context import answering
from afterwrite.tasks import requests
from afterwrite.tasks.actions import TaskAction as StoredAction
from afterwrite.tasks.entries import Entry as StoredEntry
from afterwrite.tasks.entries import EntryStatus, entry_of
from afterwrite.tasks.listing import TypeReport
from afterwrite.tasks.task import Task as StoredTask
from afterwrite.tasks.task import TaskStatus
from afterwrite.tasks.workers.entry import ENTRY

TaskStatusEnum = graphene.Enum.from_enum(TaskStatus, name="TaskStatus")
EntryStatusEnum = graphene.Enum.from_enum(EntryStatus, name="EntryStatus")


class TaskError(graphene.ObjectType):
    """The reason why a task FAILED or is retried."""

    code = graphene.String(required=True)
    message = graphene.String(required=True)


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


TaskConnection = connection_of(Task, "Task", "A page of tasks, newest first.", total="Tasks that match the filters")


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
    p50_duration_ms = graphene.Float(description="The median; null while none has completed")
    p95_duration_ms = graphene.Float()

    @staticmethod
    def resolve_counts(root: TypeReport, _info: object) -> list[dict[str, Any]]:
        return [{"status": status, "count": root.counts[status]} for status in TaskStatus]

    @staticmethod
    def resolve_p50_duration_ms(root: TypeReport, _info: object) -> float | None:
        return root.duration_p50_ms

    @staticmethod
    def resolve_p95_duration_ms(root: TypeReport, _info: object) -> float | None:
        return root.duration_p95_ms


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


EntryConnection = connection_of(
    Entry, "Entry", "A page of entries, newest first.", total="Entries that match the filters"
)


def _first() -> graphene.Int:
    return graphene.Int(default_value=PAGE_DEFAULT, description=f"At most {PAGE_MAX}")


class Query(graphene.ObjectType):
    """Queries of tasks."""

    task = graphene.Field(Task, id=graphene.ID(required=True))
    tasks = graphene.Field(
        TaskConnection,
        required=True,
        status=TaskStatusEnum(),
        type=graphene.String(),
        search=graphene.String(description="Substring of payload, type or correlation id, case-insensitive"),
        by=graphene.String(description="The name of the creator's key"),
        first=_first(),
        after=graphene.String(),
        description="Tasks, newest first",
    )
    task_actions = graphene.Field(
        TaskActionConnection,
        required=True,
        first=_first(),
        after=graphene.String(),
        by=graphene.String(description="The name of the caller's key"),
        description="The actions of callers on tasks and types, newest first",
    )
    task_types = graphene.List(graphene.NonNull(TaskType), required=True)
    entry = graphene.Field(Entry, id=graphene.ID(required=True))
    entries = graphene.Field(
        EntryConnection,
        required=True,
        status=EntryStatusEnum(),
        search=graphene.String(),
        by=graphene.String(description="The name of the creator's key"),
        first=_first(),
        after=graphene.String(),
        description="Entries, newest first",
    )
    process = graphene.Field(
        Task, correlation_id=graphene.String(required=True), description="The job with this correlation id"
    )

    @staticmethod
    @answering
    def resolve_task(_root: None, info: graphene.ResolveInfo, id: str) -> StoredTask | None:  # noqa: A002
        found: StoredTask | None = info.context.tasks.find(parse_id("id", id))
        return found

    @staticmethod
    @answering
    def resolve_tasks(
        _root: None,
        info: graphene.ResolveInfo,
        first: int | None,
        status: TaskStatus | None = None,
        type: str | None = None,  # noqa: A002
        search: str | None = None,
        by: str | None = None,
        after: str | None = None,
    ) -> Page:
        size = PAGE_DEFAULT if first is None else first
        return requests.tasks_page(info.context.tasks, status, type, search, size, after, by=by)

    @staticmethod
    @answering
    def resolve_task_actions(
        _root: None, info: graphene.ResolveInfo, first: int | None, after: str | None = None, by: str | None = None
    ) -> Page:
        size = PAGE_DEFAULT if first is None else first
        return requests.actions_page(info.context.tasks, by, size, after)

    @staticmethod
    @answering
    def resolve_task_types(_root: None, info: graphene.ResolveInfo) -> list[TypeReport]:
        found: list[TypeReport] = info.context.tasks.types()
        return found

    @staticmethod
    @answering
    def resolve_entry(_root: None, info: graphene.ResolveInfo, id: str) -> StoredEntry | None:  # noqa: A002
        found = info.context.tasks.find(parse_id("id", id))
        return entry_of(found) if found is not None and found.type == ENTRY else None

    @staticmethod
    @answering
    def resolve_entries(
        _root: None,
        info: graphene.ResolveInfo,
        first: int | None,
        status: EntryStatus | None = None,
        search: str | None = None,
        by: str | None = None,
        after: str | None = None,
    ) -> Page:
        size = PAGE_DEFAULT if first is None else first
        return requests.entries_page(info.context.tasks, status, search, size, after, by=by)

    @staticmethod
    @answering
    def resolve_process(_root: None, info: graphene.ResolveInfo, correlation_id: str) -> StoredTask | None:
        return requests.find_job(info.context.tasks, correlation_id)
