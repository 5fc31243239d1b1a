"""Filters and page links of list pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, abort, request, url_for

from afterwrite.console.answers import is_htmx, page
from afterwrite.console.forms import without_name
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import ID_MAX, Page

Filters = dict[str, Any]


def filters_of(names: Sequence[str]) -> Filters:
    """The filters in the URL, without empty ones."""
    return {name: request.args[name] for name in names if request.args.get(name)}


def links(endpoint: str, filters: Filters, found: Page) -> Mapping[str, Any]:
    """The URLs of a list page (newest first): its own, that of the newest items, and that of older ones."""
    older = url_for(endpoint, **filters, after=found.page_info.end_cursor)
    return {
        "here": request.full_path.rstrip("?"),
        "newest_url": url_for(endpoint, **filters) if request.args.get("after") else None,
        "older_url": older if found.page_info.has_next_page else None,
    }


def refused_list(template: str, error: RequestError, **values: Any) -> Response:
    """The list page for invalid filters: the filters with their error."""
    field = error.extensions.get("field")
    wrong = {"field": field, "message": without_name(error.message, field) if field else error.message}
    # 200 for htmx: a browser's console would log 400 as a failed request.
    status = 200 if is_htmx() else 400
    return page(template, status, wrong=wrong, **values)


def known_id(number: int) -> int:
    """A number of the URL that is a possible id; aborts with 404 for any other."""
    if not 0 < number <= ID_MAX:
        abort(404, f"There is nothing with the number {str(number)[:30]}")
    return number
