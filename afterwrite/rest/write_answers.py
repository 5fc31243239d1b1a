"""Answers to accepted writes: the receipt at once, or what became of the write where the caller waits for it."""

from collections.abc import Callable
from typing import Any

from flask import Response, request

from afterwrite.access.roles import Role
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.reads.connections import id_or_none
from afterwrite.resources.api_names import rest_path
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.write import Operation, Write, WriteErrorCode, WriteStatus
from afterwrite.rest.conditions import wanted_wait
from afterwrite.rest.problems import ProblemDetails, json_answer
from afterwrite.rest.reading import Given
from afterwrite.rest.route import Gives, Routes
from afterwrite.service.context import Context
from afterwrite.writes import requests

WRITES = "/api/writes"

writes = Routes("writes", 500, 503)
"""The routes of receipts; they need the highest role that reads of a resource need."""


@writes.route("GET", f"{WRITES}/<write_id>", Role.READ, {200: Gives("Write", "The receipt")})
def get_write(given: Given, write_id: str) -> dict[str, Any]:
    """Get the receipt of a write."""
    number = id_or_none(write_id)
    write = None if number is None else given.service.queue.find(number)
    if write is None:
        raise ProblemDetails(404, "WRITE_NOT_FOUND", f"There is no write {write_id[:60]}: give the id of a receipt")
    return receipt_of(write, given.service.resources.get(write.resource))


def receipt_of(write: Write, resource: CompiledResource | None) -> dict[str, Any]:
    """The JSON of a receipt; a write of no declared resource has no path of its record."""
    settled_at = write.settled_at
    is_known = write.operation != Operation.UPSERT or write.status == WriteStatus.APPLIED
    return {
        "id": str(write.id),
        "resource": write.resource,
        "operation": write.operation,
        "status": write.status,
        "recordId": str(write.record_id),
        "record": None if resource is None or not is_known else f"{rest_path(resource)}/{write.record_id}",
        "ifVersion": write.if_version,
        "error": None if write.error is None else write.error._asdict(),
        "acceptedAt": write.accepted_at.isoformat(),
        "acceptedBy": write.accepted_by,
        "settledAt": None if settled_at is None else settled_at.isoformat(),
        "retryOf": None if write.retry_of is None else str(write.retry_of),
    }


def answer_to(
    context: Context, resource: CompiledResource, write: Write, show: Callable[[Record], Response]
) -> Response:
    """The response to a write that was accepted: 202 with its receipt unless it is settled within ``Prefer: wait``.

    ``show`` makes the response with a record. Raises ProblemDetails for a write that FAILED meanwhile.
    """
    seconds = wanted_wait(request.headers)
    waited = None if seconds is None else _outcome(context, resource, write, seconds, show)
    if waited is None:
        return _receipt(write, resource)
    waited.headers["Preference-Applied"] = f"wait={seconds}"
    return waited


def _outcome(
    context: Context, resource: CompiledResource, write: Write, seconds: int, show: Callable[[Record], Response]
) -> Response | None:
    """What became of the write within some seconds, None if that cannot be said: it is accepted whatever happens."""
    try:
        settled = requests.settled(context.queue, write, min(seconds, context.wait_seconds))
        if settled is None:
            return None
        if settled.status == WriteStatus.FAILED:
            raise _failed(settled, resource)
        if settled.operation == Operation.DELETE:
            return Response(status=204)
        record = context.records[resource.name].get(settled.record_id)
    except StoreError as error:
        log_and_redact(error)
        return None
    if record is None:  # deleted meanwhile
        return _receipt(settled, resource)
    answer = show(record)
    if settled.operation == Operation.CREATE:
        answer.status_code = 201
        answer.headers["Location"] = f"{rest_path(resource)}/{record.id}"
    return answer


def _receipt(write: Write, resource: CompiledResource) -> Response:
    answer = json_answer(receipt_of(write, resource), 202)
    answer.headers["Location"] = f"{WRITES}/{write.id}"
    return answer


def _failed(write: Write, resource: CompiledResource) -> ProblemDetails:
    statuses = {resource.not_found: 404, WriteErrorCode.VERSION_CONFLICT: 412}
    code = write.error_code or ""
    return ProblemDetails(statuses.get(code, 409), code, write.error_message or "", writeId=str(write.id))
