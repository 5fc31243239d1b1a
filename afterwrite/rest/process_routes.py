"""Answers the REST routes of processes."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from afterwrite.rest import schemas
from afterwrite.rest.checking import BodyCheck
from afterwrite.rest.problems import Problem, json_answer, refusal
from afterwrite.rest.reading import idempotency_key, json_body
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.registry import TaskRefused
from afterwrite.tasks.requests import create_process, find_process
from afterwrite.tasks.task import Task
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS

_POINTERS = {"payload": "#/payload", "callbackUrl": "#/callback_url"}


def add_process_routes(
    blueprint: Blueprint,
    queue: TaskQueue,
    max_body_bytes: int,
    caller_name: Callable[[], str | None],
) -> None:
    """Add ``/api/process`` and what is below it."""
    new_process = BodyCheck(schemas.new_process(queue.schema_of(PROCESS_PRODUCTS)))

    @blueprint.post("/api/process")
    def start_process() -> Response:
        body = json_body(request, max_body_bytes)
        new_process.check(body)
        try:
            task = create_process(
                queue,
                body["payload"],
                body.get("callback_url"),
                idempotency_key(request),
                caller_name(),
            )
        except TaskRefused as error:
            raise refusal(error, _POINTERS) from error
        path = f"/api/process/{task.correlation_id}"
        url = request.host_url.rstrip("/") + path if request.host else path
        answer = json_answer(
            {"correlation_id": task.correlation_id, "status_url": url, "status": task.status}, 202
        )
        answer.headers["Location"] = path
        return answer

    @blueprint.get("/api/process/<correlation_id>")
    def get_process(correlation_id: str) -> Response:
        task = find_process(queue, correlation_id)
        if task is None:
            detail = f"There is no process {correlation_id[:60]}: give the correlation_id that was answered"
            raise Problem(404, "TASK_NOT_FOUND", detail)
        return json_answer(_shown(task))


def _shown(task: Task) -> dict[str, Any]:
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
