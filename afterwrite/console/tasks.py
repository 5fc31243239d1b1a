"""The pages of tasks and task types: list, create, cancel, retry, pause, resume and prune."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, abort, request, url_for

from afterwrite.base.counts import counted
from afterwrite.base.refusals import Refused
from afterwrite.console.answers import done, page, page_of
from afterwrite.console.forms import Form, again, given
from afterwrite.console.lists import known_id, list_page
from afterwrite.console.task_forms import KINDS, TaskKind, check, payload_of
from afterwrite.reads.connections import PAGE_DEFAULT
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.requests import accept_arguments, prune, tasks_page
from afterwrite.tasks.task import Task, TaskStatus

_FILTERS = ("status", "type", "search", "by")
_PRUNED_DAYS = (7, 30, 90)


def add_task_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/tasks``, the page of one task, the forms for new ones, and the actions on tasks and types."""
    queue = service.tasks

    @blueprint.get("/tasks")
    def tasks() -> Response:
        return page_of(queue.changes, lambda: _list(context()))

    @blueprint.get("/tasks/<int:task_id>")
    def task(task_id: int) -> Response:
        return _one(context(), task_id)  # without an ETag: a heartbeat is not counted as a change of the task

    _add_new_tasks(blueprint, context)
    _add_actions(blueprint, queue, context)
    _add_prune(blueprint, context)


def _add_new_tasks(blueprint: Blueprint, context: Callable[[], Context]) -> None:
    @blueprint.get("/tasks/new/<kind>")
    def new_task(kind: str) -> Response:
        return page("task_form.html", place="tasks", kind=_kind(kind), form=Form({}))

    @blueprint.post("/tasks/new/<kind>")
    def create_task(kind: str) -> Response:
        asked, form, now = _kind(kind), Form(request.form), context()
        options = {"idempotency_key": form.key, "correlation_id": given(form.values, "correlation_id")}
        try:
            check(asked, form.values)
            arguments = payload_of(asked, form.values)
            created = accept_arguments(now.tasks, asked.type, {**arguments, **options}, now.by)
        except Refused as refused:
            corrected = again(form, refused, asked.names)
            return page("task_form.html", 422, place="tasks", kind=asked, form=corrected)
        return page("task_made.html", place="tasks", task=created)


def _add_actions(blueprint: Blueprint, queue: TaskQueue, context: Callable[[], Context]) -> None:
    @blueprint.post("/tasks/<int:task_id>/cancel")
    def cancel_task(task_id: int) -> Response:
        found = queue.cancel(known_id(task_id), context().by)
        outcome = "is cancelled" if found.has_ended else "is being cancelled"
        return done(f"{found.type} {outcome}", url_for("console.task", task_id=task_id))

    @blueprint.post("/tasks/<int:task_id>/retry")
    def retry_task(task_id: int) -> Response:
        found = queue.retry(known_id(task_id), context().by)
        return done(f"{found.type} is queued again", url_for("console.task", task_id=task_id))

    @blueprint.post("/task-types/<task_type>/pause")
    def pause_type(task_type: str) -> Response:
        queue.pause(task_type, context().by)
        return done(f"{task_type} is paused: running tasks continue", url_for("console.tasks"), warning=True)

    @blueprint.post("/task-types/<task_type>/resume")
    def resume_type(task_type: str) -> Response:
        queue.resume(task_type, context().by)
        return done(f"{task_type} is resumed", url_for("console.tasks"))


def _add_prune(blueprint: Blueprint, context: Callable[[], Context]) -> None:
    @blueprint.get("/tasks/prune")
    def prune_form() -> Response:
        return page("prune_form.html", place="tasks", days=_PRUNED_DAYS)

    @blueprint.post("/tasks/prune")
    def prune_tasks() -> Response:
        days = request.form.get("days", "")
        if days not in map(str, _PRUNED_DAYS):
            abort(400, f"days is {days[:20]!r}: choose one of {', '.join(map(str, _PRUNED_DAYS))}")
        ended_before = datetime.now(UTC) - timedelta(days=int(days))
        now = context()
        number = prune(now.tasks, ended_before, now.by)
        return done(f"{counted(number, 'task')} deleted", url_for("console.tasks"))


def _list(context: Context) -> Response:
    return list_page(
        "tasks",
        "tasks.html",
        _FILTERS,
        TaskStatus,
        lambda filters, status, after: tasks_page(
            context.tasks, status, filters.get("type"), filters.get("search"), PAGE_DEFAULT, after, by=filters.get("by")
        ),
        types=context.tasks.types(),
        kinds=KINDS,
    )


def _one(context: Context, task_id: int) -> Response:
    found = context.tasks.find(known_id(task_id))
    if found is None:
        abort(404, f"There is no task {task_id}: it may have been deleted")
    return page(
        "task.html",
        place="tasks",
        task=found,
        times=_times(found),
        stages=_stages(found),
        actions=context.tasks.actions(task_id),
        cancellable=not found.has_ended and not found.cancel_asked,
        pause=context.tasks.pause_of(found.type) if found.status == TaskStatus.PENDING else None,
        retryable=found.status in (TaskStatus.FAILED, TaskStatus.CANCELLED),
    )


def _times(task: Task) -> dict[str, float | None]:
    """The time that a task waited and ran, in milliseconds; None while that has not ended."""
    started, finished = task.started_at_us, task.finished_at_us
    return {
        "waited": None if started is None else (started - task.created_at_us) / 1_000,
        "ran": None if started is None or finished is None else (finished - started) / 1_000,
    }


def _stages(task: Task) -> list[dict[str, Any]]:
    """The stages in the result of an entry."""
    result = task.result
    stages = result.get("stages") if isinstance(result, dict) else None
    return [stage for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []


def _kind(name: str) -> TaskKind:
    if name not in KINDS:
        abort(404, f"There is no form for {name[:40]!r}: use one of {', '.join(KINDS)}")
    return KINDS[name]
