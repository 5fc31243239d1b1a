"""REST routes of jobs, at ``/api/process``."""

from typing import Any

from flask import request

from afterwrite.access.roles import Role
from afterwrite.rest.problems import ProblemDetails
from afterwrite.rest.reading import Given
from afterwrite.rest.route import KEYED, Gives, Routes, Takes
from afterwrite.tasks.requests import create_job, find_job
from afterwrite.tasks.task import Task

_EXAMPLE = {"payload": {"products": [{"title": "Lamp", "price": 12.5, "category": "Home"}]}}
_POINTERS = {"payload": "#/payload", "callbackUrl": "#/callback_url"}

processes = Routes("processes", 500, 503)


@processes.route(
    "POST",
    "/api/process",
    Role.WRITE,
    {202: Gives("ProcessAccepted", "Accepted")},
    Takes("NewProcess", _EXAMPLE, headers=KEYED, pointers=_POINTERS),
)
def start_process(given: Given) -> tuple[dict[str, Any], str]:
    """Submit a job that checks, enriches and summarises a list of products."""
    body, key, by = given.body(), given.idempotency_key(), given.by
    task = create_job(given.service.tasks, body["payload"], body.get("callback_url"), key, by)
    path = f"/api/process/{task.correlation_id}"
    url = request.host_url.rstrip("/") + path if request.host else path
    return {"correlation_id": task.correlation_id, "status_url": url, "status": task.status}, path


@processes.route("GET", "/api/process/<correlation_id>", Role.READ, {200: Gives("Process", "The job")})
def get_process(given: Given, correlation_id: str) -> dict[str, Any]:
    """Get the status of a job."""
    task = find_job(given.service.tasks, correlation_id)
    if task is None:
        detail = f"There is no job {correlation_id[:60]}: give the correlation_id of the POST's response"
        raise ProblemDetails(404, "TASK_NOT_FOUND", detail)
    return _json_of(task)


def _json_of(task: Task) -> dict[str, Any]:
    error = task.error
    return {
        "correlation_id": task.correlation_id,
        "status": task.status,
        "stage": task.stage,
        "progress": task.progress,
        "result": task.result,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "created_at": task.created_at.isoformat(),
        "finished_at": None if task.finished_at is None else task.finished_at.isoformat(),
    }
