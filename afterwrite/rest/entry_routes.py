"""Answers the REST routes of entries."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from afterwrite.reads.connections import id_or_none
from afterwrite.rest import schemas
from afterwrite.rest.checking import BodyCheck, ParameterCheck
from afterwrite.rest.problems import Problem, json_answer, refusal
from afterwrite.rest.reading import idempotency_key, json_body, parameters
from afterwrite.tasks.entries import Entry, EntryChange, EntryStatus, entry_filter, entry_of, moved
from afterwrite.tasks.queue import TaskQueue
from afterwrite.tasks.registry import TaskRefused
from afterwrite.tasks.requests import accept
from afterwrite.tasks.workers.entry import ENTRY

_POINTERS = {"payload": "#", "status": "#/status", "progress": "#/progress", "lockedBy": "#/lockedBy"}


def add_entry_routes(
    blueprint: Blueprint, queue: TaskQueue, max_body_bytes: int, caller_name: Callable[[], str | None]
) -> None:
    """Add ``/api/entries`` and what is below it."""
    new_entry, change, page = (
        BodyCheck(schemas.NEW_ENTRY),
        BodyCheck(schemas.ENTRY_CHANGE),
        ParameterCheck(schemas.ENTRY_PARAMETERS),
    )

    @blueprint.post("/api/entries")
    def create_entry() -> Response:
        body = json_body(request, max_body_bytes)
        new_entry.check(body)
        try:
            options = {"idempotency_key": idempotency_key(request)}
            task = accept(queue, ENTRY, body, options, caller_name())
        except TaskRefused as error:
            raise refusal(error, _POINTERS) from error
        answer = json_answer(_shown(entry_of(task)), 201)
        answer.headers["Location"] = f"/api/entries/{task.id}"
        return answer

    @blueprint.get("/api/entries")
    def list_entries() -> Response:
        asked = parameters(request, schemas.ENTRY_PARAMETERS)
        page.check(asked)
        status, by = asked.get("status"), asked.get("by")
        wanted = entry_filter(None if status is None else EntryStatus(status), asked.get("search", ""), by)
        found = queue.page(wanted, asked["limit"], asked["offset"])
        entries = [_shown(entry_of(task)) for task in found]
        sizes = {"limit": asked["limit"], "offset": asked["offset"]}
        return json_answer({"entries": entries, "total": queue.count(wanted), **sizes})

    @blueprint.get("/api/entries/<entry_id>")
    def get_entry(entry_id: str) -> Response:
        task = queue.find(_number(entry_id))
        if task is None or task.type != ENTRY:
            raise _not_found(entry_id)
        return json_answer(_shown(entry_of(task)))

    @blueprint.patch("/api/entries/<entry_id>")
    def change_entry(entry_id: str) -> Response:
        number = _number(entry_id)
        body = json_body(request, max_body_bytes)
        change.check(body)
        wanted = _change(body)
        try:
            task = queue.edit(
                number, lambda task, now_us: moved(task, wanted, now_us, queue.lock_seconds), caller_name()
            )
        except TaskRefused as error:
            raise refusal(error, _POINTERS) from error
        return json_answer(_shown(entry_of(task)))


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "title": entry.title,
        "status": entry.status.value,
        "progress": entry.progress,
        "result": entry.result,
        "lockedBy": entry.locked_by,
        "lockedAt": None if entry.locked_at is None else entry.locked_at.isoformat(),
        "createdAt": entry.created_at.isoformat(),
        "updatedAt": entry.updated_at.isoformat(),
        "createdBy": entry.created_by,
    }


def _change(body: dict[str, Any]) -> EntryChange:
    status, progress = body.get("status"), body.get("progress")
    return EntryChange(
        status=None if status is None else EntryStatus(status),
        progress=None if progress is None else int(progress),  # 33.0 is a whole number in JSON Schema
        locked_by=body.get("lockedBy"),
        error=body.get("error"),
    )


def _number(entry_id: str) -> int:
    number = id_or_none(entry_id)
    if number is None:
        raise _not_found(entry_id)
    return number


def _not_found(entry_id: str) -> Problem:
    return Problem(404, "TASK_NOT_FOUND", f"There is no entry {entry_id[:60]}: GET /api/entries lists them")
