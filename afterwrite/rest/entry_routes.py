"""REST routes of entries."""

from typing import Any

from afterwrite.access.roles import Role
from afterwrite.reads.connections import id_or_none
from afterwrite.rest.problems import ProblemDetails
from afterwrite.rest.reading import Given
from afterwrite.rest.route import KEYED, Gives, Routes, Takes
from afterwrite.rest.schemas import ENTRY_PARAMETERS
from afterwrite.tasks.entries import Entry, EntryChange, EntryStatus, entry_filter, entry_of, moved
from afterwrite.tasks.requests import accept
from afterwrite.tasks.workers.entry import ENTRY

_POINTERS = {"payload": "#", "status": "#/status", "progress": "#/progress", "lockedBy": "#/lockedBy"}

entries = Routes("entries", 500, 503)


@entries.route(
    "POST",
    "/api/entries",
    Role.WRITE,
    {201: Gives("Entry", "The accepted entry")},
    Takes("NewEntry", {"title": "Hello"}, headers=KEYED, pointers=_POINTERS),
)
def create_entry(given: Given) -> tuple[dict[str, Any], str]:
    """Create an entry; a worker takes it through its stages after the response."""
    body = given.body()
    options = {"idempotency_key": given.idempotency_key()}
    task = accept(given.service.tasks, ENTRY, body, options, given.by)
    return _json_of(entry_of(task)), f"/api/entries/{task.id}"


@entries.route("GET", "/api/entries", Role.READ, {200: Gives("EntryPage", "A page")}, Takes(query=ENTRY_PARAMETERS))
def list_entries(given: Given) -> dict[str, Any]:
    """List entries, newest first."""
    asked, queue = given.parameters(), given.service.tasks
    status, by = asked.get("status"), asked.get("by")
    wanted = entry_filter(None if status is None else EntryStatus(status), asked.get("search", ""), by)
    found = queue.page(wanted, asked["limit"], asked["offset"])
    items = [_json_of(entry_of(task)) for task in found]
    sizes = {"limit": asked["limit"], "offset": asked["offset"]}
    return {"entries": items, "total": queue.count(wanted), **sizes}


@entries.route("GET", "/api/entries/<entry_id>", Role.READ, {200: Gives("Entry", "The entry")})
def get_entry(given: Given, entry_id: str) -> dict[str, Any]:
    """Get an entry."""
    task = given.service.tasks.find(_number(entry_id))
    if task is None or task.type != ENTRY:
        raise _not_found(entry_id)
    return _json_of(entry_of(task))


@entries.route(
    "PATCH",
    "/api/entries/<entry_id>",
    Role.ADMIN,
    {200: Gives("Entry", "The changed entry")},
    Takes("EntryChange", {"status": "STAGE_1", "progress": 33}, pointers=_POINTERS),
    409,
)
def change_entry(given: Given, entry_id: str) -> dict[str, Any]:
    """Move an entry to its next stage or fail it; internal."""
    number, queue = _number(entry_id), given.service.tasks
    wanted = _change(given.body())
    task = queue.edit(number, lambda task, now_us: moved(task, wanted, now_us, queue.lock_seconds), given.by)
    return _json_of(entry_of(task))


def _json_of(entry: Entry) -> dict[str, Any]:
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


def _not_found(entry_id: str) -> ProblemDetails:
    return ProblemDetails(404, "TASK_NOT_FOUND", f"There is no entry {entry_id[:60]}: GET /api/entries lists them")
