"""The pages of jobs: their list, the form for a new one, and one job with its stages, result and webhooks."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, request

from afterwrite.base.refusals import Problem, Refused
from afterwrite.console.answers import page, page_of
from afterwrite.console.forms import Form, again, given
from afterwrite.console.job_steps import worker_steps
from afterwrite.console.lists import list_page
from afterwrite.graphql_http import strict_json
from afterwrite.reads.connections import PAGE_DEFAULT
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.storage.received import Received
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.requests import create_job, find_job, tasks_page
from afterwrite.tasks.task import Task, TaskStatus
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS
from afterwrite.tasks.workers.webhook_delivery import TYPE as WEBHOOK_DELIVERY

if TYPE_CHECKING:
    from afterwrite.console.job_on_airflow import JobsOnAirflow, OnAirflow

_EXAMPLE = json.dumps(
    {"products": [{"title": "Lamp", "price": 12.5, "category": "Lights"}, {"title": "", "price": 3}]}, indent=2
)
_FIELDS = ("payload", "callback_url")
_FILTERS = ("status", "search", "by")
_DELIVERIES = 10


def add_process_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/process``, the form for a new job, and the page of one job."""
    queue, receiver = service.tasks, service.receiver

    @blueprint.get("/process")
    def processes() -> Response:
        return page_of((queue.changes, receiver.last_kept), lambda: _list(context(), receiver.newest(20)))

    @blueprint.get("/process/new")
    def new_process() -> Response:
        own = request.host_url.rstrip("/") + "/webhook" if service.settings.webhook_allow_private == "on" else ""
        return page("job_form.html", place="processes", form=Form({"payload": _EXAMPLE, "callback_url": own}))

    @blueprint.post("/process")
    def submit_process() -> Response:
        form, now = Form(request.form), context()
        try:
            created = create_job(
                now.tasks,
                _payload(form.values.get("payload", "")),
                given(form.values, "callback_url"),
                form.key,
                now.by,
            )
        except Refused as refused:
            return page("job_form.html", 422, place="processes", form=again(form, refused, _FIELDS))
        return page("job_made.html", place="processes", process=created)

    _add_one(blueprint, service, context)


def _add_one(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    queue, receiver, airflow = service.tasks, service.receiver, _airflow(service)

    @blueprint.get("/process/<path:correlation_id>")
    def process(correlation_id: str) -> Response:
        # Read before the task: a change in between is in the task, and gives another ETag the next time.
        seen = (queue.changes, receiver.last_kept)
        if airflow is None:
            return page_of(seen, lambda: _one(context(), _found(context(), correlation_id), receiver.newest()))
        found = _found(context(), correlation_id)
        run = airflow.find(found)
        return page_of((*seen, found.updated_at_us, run), lambda: _one(context(), found, receiver.newest(), run))


def _airflow(service: Service) -> "JobsOnAirflow | None":
    """The lookup of Airflow runs; None where Airflow runs no jobs."""
    if service.stack is None:
        return None
    from afterwrite.console.job_on_airflow import JobsOnAirflow

    return JobsOnAirflow(service, service.stack)


def _list(context: Context, received: list[Received]) -> Response:
    return list_page(
        "processes",
        "jobs.html",
        _FILTERS,
        TaskStatus,
        lambda filters, status, after: tasks_page(
            context.tasks, status, PROCESS_PRODUCTS, filters.get("search"), PAGE_DEFAULT, after, by=filters.get("by")
        ),
        received=received,
        known=_known(context, received),
    )


def _known(context: Context, received: list[Received]) -> set[str]:
    """The received correlation ids that belong to jobs here; a sender may send any other."""
    given_ids = {one.correlation_id for one in received if one.correlation_id}
    return {name for name in given_ids if find_job(context.tasks, name) is not None}


def _found(context: Context, correlation_id: str) -> Task:
    found = find_job(context.tasks, correlation_id)
    if found is None:
        abort(404, f"There is no job {correlation_id[:60]}")
    return found


def _one(context: Context, task: Task, received: list[Received], on_airflow: "OnAirflow | None" = None) -> Response:
    name = task.correlation_id or ""
    deliveries = _deliveries(context, task, name)
    values: dict[str, Any] = {"process": task, "steps": worker_steps(task), "result": task.result}
    if on_airflow is not None:
        from afterwrite.console.job_on_airflow import airflow_steps, as_seen

        values = {
            "process": as_seen(task, on_airflow),
            "steps": airflow_steps(task, on_airflow, _delivery_of_outcome(task, deliveries)),
            # Until the task is completed, its result has the id of its run.
            "result": task.result if task.status == TaskStatus.COMPLETED else None,
            "on_airflow": on_airflow,
        }
    return page(
        "job.html",
        place="processes",
        deliveries=deliveries,
        received=[one for one in received if one.correlation_id == name],
        known={name},
        **values,
    )


def _deliveries(context: Context, task: Task, name: str) -> list[Task]:
    """The newest deliveries of a job's outcome, without those of other tasks with its correlation id."""
    found = context.tasks.newest(TaskFilter(type=WEBHOOK_DELIVERY, search=name), None, _DELIVERIES)
    return [one for one in found if one.payload["event"]["task_id"] == str(task.id)]


def _delivery_of_outcome(task: Task, deliveries: Sequence[Task]) -> Task | None:
    """The delivery of a job's current outcome, not of an outcome before a retry."""
    if task.finished_at is None:
        return None
    ended = task.finished_at.isoformat()
    return next((one for one in deliveries if one.payload["event"]["finished_at"] == ended), None)


def _payload(text: str) -> Any:
    try:
        value = strict_json.decode(text)
    except strict_json.JsonRefused as error:
        raise Refused([Problem(["payload"], f"This is {error}", "INVALID_PAYLOAD")]) from error
    if not isinstance(value, dict):
        message = 'Give an object with a list of products: {"products": […]}'
        raise Refused([Problem(["payload"], message, "INVALID_PAYLOAD")])
    return value
