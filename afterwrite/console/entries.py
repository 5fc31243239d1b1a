"""The pages of entries: their list and the form for a new one."""

from collections.abc import Callable

from flask import Blueprint, Response, request, url_for

from afterwrite.base.refusals import Problem, Refused
from afterwrite.console.answers import done, page, page_of
from afterwrite.console.forms import Form, again, given
from afterwrite.console.lists import list_page
from afterwrite.reads.connections import PAGE_DEFAULT
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.tasks.entries import EntryStatus, entry_of
from afterwrite.tasks.requests import accept_arguments, entries_page
from afterwrite.tasks.workers.entry import ENTRY

_FILTERS = ("status", "search", "by")


def add_entry_pages(blueprint: Blueprint, service: Service, context: Callable[[], Context]) -> None:
    """Add ``/entries`` and the form for a new one."""

    @blueprint.get("/entries")
    def entries() -> Response:
        return page_of(service.tasks.changes, lambda: _list(context()))

    @blueprint.get("/entries/new")
    def new_entry() -> Response:
        return page("entry_form.html", place="entries", form=Form({}))

    @blueprint.post("/entries")
    def create_entry() -> Response:
        form, now = Form(request.form), context()
        arguments = {"title": given(form.values, "title"), "idempotency_key": form.key}
        try:
            if arguments["title"] is None:
                raise Refused([Problem(["title"], "Give a title", "REQUIRED")])
            created = entry_of(accept_arguments(now.tasks, ENTRY, arguments, now.by))
        except Refused as refused:
            return page("entry_form.html", 422, place="entries", form=again(form, refused, ["title"]))
        return done(f"{created.title} is created", url_for("console.entries"))


def _list(context: Context) -> Response:
    return list_page(
        "entries",
        "entries.html",
        _FILTERS,
        EntryStatus,
        lambda filters, status, after: entries_page(
            context.tasks, status, filters.get("search"), PAGE_DEFAULT, after, by=filters.get("by")
        ),
    )
