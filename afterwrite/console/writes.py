"""The pages of writes: the list of receipts, one receipt, and the retry of a failed write."""

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, request, url_for

from afterwrite.base.refusals import Refused
from afterwrite.base.text import shorten
from afterwrite.console.answers import done, is_htmx, page, page_of, refused
from afterwrite.console.lists import Filters, known_id, list_page
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import PAGE_DEFAULT, Page, check_name, id_or_none
from afterwrite.resources.write import Write, WriteFilter, WriteStatus
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.writes import requests

_FILTERS = ("status", "resource", "record", "by")


def add_write_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/writes`` and the page of one receipt."""
    queue = service.queue

    @blueprint.get("/writes")
    def writes() -> Response:
        return page_of((queue.last_write_id, queue.settled_through), lambda: _list(service, context()))

    @blueprint.get("/writes/<int:write_id>")
    def write(write_id: int) -> Response:
        found = queue.find(known_id(write_id))
        if found is None:
            abort(404, f"There is no write {write_id}")
        record = context().loader.get(found.resource, found.record_id)
        name = None if record is None else service.records[found.resource].resource.name_of(record)
        return page("write.html", place="writes", write=found, fields=_fields(found), record=record, name=name)

    @blueprint.post("/writes/<int:write_id>/retry")
    def retry_write(write_id: int) -> Response:
        # A second click on the same button sends the same key, so it is one retry.
        key = request.form.get("idempotency_key") or None
        now = context()
        try:
            again = requests.retry(now.queue, str(write_id), key, now.by)
        except Refused as error:
            return refused(error.message, 409)
        receipt = url_for("console.write", write_id=again.id)
        answer = done(f"Write {write_id} queued again as write {again.id}", receipt)
        if "from_receipt" in request.form and is_htmx():
            answer.headers["HX-Redirect"] = receipt
        return answer


def _list(service: Service, context: Context) -> Response:
    def find(filters: Filters, status: WriteStatus | None, after: str | None) -> Page:
        resource, record_id = _record_of(service, filters)
        wanted = WriteFilter(status, resource, record_id, check_name(filters.get("by")))
        return requests.receipts_page(context.queue, wanted, PAGE_DEFAULT, after)

    return list_page("writes", "writes.html", _FILTERS, WriteStatus, find, resources=list(service.records))


def _record_of(service: Service, filters: Filters) -> tuple[str | None, int | None]:
    """The resource and the id of a record in the filters; an application's only resource need not be chosen."""
    resource = filters.get("resource")
    if resource is not None and resource not in service.records:
        raise RequestError(f"{shorten(resource)!r} is no resource: choose one", field="resource")
    text = filters.get("record")
    if text is None:
        return resource, None
    number = id_or_none(text.strip())
    if number is None:
        raise RequestError(f"{shorten(text)!r} is not a record id: give a number", field="record")
    if resource is None:
        if len(service.records) != 1:
            raise RequestError("record is given without its resource: choose one", field="resource")
        [resource] = service.records
    return resource, number


def _fields(write: Write) -> dict[str, Any]:
    """The fields that the write sets; the raw text if it is not valid JSON."""
    try:
        return dict(json.loads(write.arguments))
    except ValueError:
        return {"unreadable": write.arguments}
