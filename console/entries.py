"""The page of entries: created, and seen going through their stages."""

from collections.abc import Callable

from flask import Blueprint, Response, request, url_for

from connections import PAGE_DEFAULT
from console.answers import done, page, page_of
from console.forms import Form, errors_of, given
from console.lists import filters_of, links
from entries import EntryStatus, entry_of
from request_context import Context
from service import Service
from task_requests import create_of_arguments, entries_page
from tasks.registry import TaskRefused
from tasks.workers.entry import ENTRY

_FILTERS = ("status", "search")


def add_entry_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/entries`` and the form of a new one."""

    @blueprint.get("/entries")
    def entries() -> Response:
        return page_of(service.tasks.changes, lambda: _list(context()))

    @blueprint.get("/entries/new")
    def new_entry() -> Response:
        return page("entry_form.html", place="entries", form=Form({}))

    @blueprint.post("/entries")
    def create_entry() -> Response:
        form = Form(request.form)
        try:
            arguments = {"title": given(form.values, "title") or "", "idempotency_key": form.key}
            made = entry_of(create_of_arguments(context(), ENTRY, arguments))
        except TaskRefused as error:
            shown = Form(
                {**form.values, "idempotency_key": form.key},
                errors_of([(error.field, error.message)], ["title"]),
            )
            return page("entry_form.html", 422, place="entries", form=shown)
        return done(f"{made.title} is created", url_for("console.entries"))


def _list(context: Context) -> Response:
    asked = request.args
    status = asked.get("status", "")
    wanted = EntryStatus(status) if status in list(EntryStatus) else None
    filters = filters_of(_FILTERS)
    found = entries_page(context, wanted, filters.get("search"), PAGE_DEFAULT, asked.get("after") or None)
    return page(
        "entries.html",
        place="entries",
        entries=found.nodes,
        statuses=list(EntryStatus),
        filters=filters,
        **links("console.entries", filters, found),
    )
