"""The pages of writes: receipts, newest first, and one receipt with what was asked and what came of it."""

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, request, url_for

from afterwrite.base.refusals import Refused
from afterwrite.base.text import shorten
from afterwrite.console.answers import done, is_htmx, page, page_of, refused
from afterwrite.console.lists import filters_of, known_id, links, refused_list
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import PAGE_DEFAULT, check_name, id_or_none
from afterwrite.resources.write import Write, WriteFilter, WriteStatus
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.writes import requests

_FILTERS = ("status", "product", "by")


def add_write_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/writes`` and the page of one receipt."""
    queue = service.queue

    @blueprint.get("/writes")
    def writes() -> Response:
        return page_of((queue.last_write_id, queue.settled_through), lambda: _list(context()))

    @blueprint.get("/writes/<int:write_id>")
    def write(write_id: int) -> Response:
        found = queue.find(known_id(write_id))
        if found is None:
            abort(404, f"There is no write {write_id}")
        product = service.products.get(found.product_id)
        return page("write.html", place="writes", write=found, fields=_fields(found), product=product)

    @blueprint.post("/writes/<int:write_id>/retry")
    def retry_write(write_id: int) -> Response:
        # The same for a second click on the same button: it is one retry.
        key = request.form.get("idempotency_key") or None
        now = context()
        try:
            again = requests.retry(now.queue, str(write_id), key, now.by)
        except Refused as error:
            return refused(error.message, 409)
        receipt = url_for("console.write", write_id=again.id)
        answered = done(f"Write {write_id} queued again as write {again.id}", receipt)
        if "from_receipt" in request.form and is_htmx():
            answered.headers["HX-Redirect"] = receipt
        return answered


def _list(context: Context) -> Response:
    filters = filters_of(_FILTERS)
    shown: dict[str, Any] = {"place": "writes", "statuses": list(WriteStatus), "filters": filters}
    status = filters.get("status")
    try:
        wanted = WriteFilter(
            status=WriteStatus(status) if status in list(WriteStatus) else None,
            product_id=_product_id(filters.get("product")),
            by=check_name(filters.get("by")),
        )
        found = requests.receipts_page(context.queue, wanted, PAGE_DEFAULT, request.args.get("after") or None)
    except RequestError as error:
        here = request.full_path.rstrip("?")
        return refused_list("writes.html", error, writes=[], here=here, **shown)
    return page("writes.html", writes=found.nodes, **links("console.writes", filters, found), **shown)


def _product_id(text: str | None) -> int | None:
    number = id_or_none(text.strip()) if text else None
    if text and number is None:
        raise RequestError(f"{shorten(text)!r} is no product's number", field="product")
    return number


def _fields(write: Write) -> dict[str, Any]:
    """What the write sets; the text as it is where it cannot be read."""
    try:
        return dict(json.loads(write.arguments))
    except ValueError:
        return {"unreadable": write.arguments}
