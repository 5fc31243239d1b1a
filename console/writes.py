"""The pages of writes: receipts, newest first, and one receipt with what was asked and what came of it."""

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, request, url_for

import product_requests as requests
from connections import PAGE_DEFAULT, parse_id
from console.answers import done, page, page_of, refused
from console.lists import filters_of, links
from product_pages import receipts_page
from request_context import Context
from service import Service
from writes import Write, WriteFilter, WriteStatus

_FILTERS = ("status", "product", "by")


def add_write_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/writes`` and the page of one receipt."""
    queue = service.queue

    @blueprint.get("/writes")
    def writes() -> Response:
        return page_of((queue.last_write_id, queue.settled_through), lambda: _list(context()))

    @blueprint.get("/writes/<int:write_id>")
    def write(write_id: int) -> Response:
        found = queue.find(write_id)
        if found is None:
            abort(404, f"There is no write {write_id}")
        product = service.products.get(found.product_id)
        return page("write.html", place="writes", write=found, fields=_fields(found), product=product)

    @blueprint.post("/writes/<int:write_id>/retry")
    def retry_write(write_id: int) -> Response:
        answer = requests.retry(context(), str(write_id), None)
        if answer.write is None:
            return refused(answer.message, 409)
        back = url_for("console.write", write_id=answer.write.write.id)
        return done(f"{answer.message} as write {answer.write.write.id}", back)


def _list(context: Context) -> Response:
    asked = request.args
    status = asked.get("status", "")
    wanted = WriteFilter(
        status=WriteStatus(status) if status in list(WriteStatus) else None,
        product_id=parse_id("product", asked["product"].strip()) if asked.get("product") else None,
        by=asked.get("by") or None,
    )
    found = receipts_page(context, wanted, PAGE_DEFAULT, asked.get("after") or None)
    filters = filters_of(_FILTERS)
    return page(
        "writes.html",
        place="writes",
        writes=[receipt.write for receipt in found.nodes],
        statuses=list(WriteStatus),
        filters=filters,
        **links("console.writes", filters, found),
    )


def _fields(write: Write) -> dict[str, Any]:
    """What the write sets; the text as it is where it cannot be read."""
    try:
        return dict(json.loads(write.arguments))
    except ValueError:
        return {"unreadable": write.arguments}
