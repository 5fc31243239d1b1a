"""What the pages with lists have in common: filters in the URL, and links to newer and older items."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, abort, request, url_for

from afterwrite.console.answers import is_htmx, page
from afterwrite.console.forms import without_name
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import ID_MAX, Page

Filters = dict[str, Any]


def filters_of(names: Sequence[str]) -> Filters:
    """The filters that the URL gives; an empty one is none."""
    return {name: request.args[name] for name in names if request.args.get(name)}


def links(endpoint: str, filters: Filters, found: Page) -> Mapping[str, Any]:
    """For a page of a list, newest first: its own URL, that of the newest items, and that of the older ones."""
    older = url_for(endpoint, **filters, after=found.page_info.end_cursor)
    return {
        "here": request.full_path.rstrip("?"),
        "newest_url": url_for(endpoint, **filters) if request.args.get("after") else None,
        "older_url": older if found.page_info.has_next_page else None,
    }


def refused_list(template: str, error: RequestError, **values: Any) -> Response:
    """The page of a list whose filters cannot be meant: with the filters, and with what is wrong with them."""
    field = error.extensions.get("field")
    wrong = {"field": field, "message": without_name(error.message, field) if field else error.message}
    # For a script it is no failure of the page, as which a browser's console would log it.
    status = 200 if is_htmx() else 400
    return page(template, status, wrong=wrong, **values)


def known_id(number: int) -> int:
    """A number of a URL that can be an id; any other one answers that there is nothing."""
    if not 0 < number <= ID_MAX:
        abort(404, f"There is nothing with the number {str(number)[:30]}")
    return number
