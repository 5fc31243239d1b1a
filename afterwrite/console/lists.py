"""List pages with their filters and links."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from flask import Response, abort, request, url_for

from afterwrite.console.answers import is_htmx, page
from afterwrite.console.forms import without_name
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import ID_MAX, Page

Filters = dict[str, Any]
_SAME_NAMES: Mapping[Any, str] = MappingProxyType({})


def list_page(
    name: str,
    template: str,
    filter_names: Sequence[str],
    statuses: type[StrEnum],
    find: Callable[[Filters, Any, str | None], Page],
    **values: Any,
) -> Response:
    """The page of a list, newest first, with links to the newest and to older items.

    ``name`` is that of its items in the template, of its place and of its endpoint. ``find`` gets the filters, the
    status among them (None: any) and the cursor; the page shows its RequestError next to the filters.
    """
    filters, after = filters_of(filter_names), request.args.get("after") or None
    chosen = filters.get("status")
    values |= {"place": name, "statuses": list(statuses), "filters": filters, "here": request.full_path.rstrip("?")}
    try:
        found = find(filters, statuses(chosen) if chosen in list(statuses) else None, after)
    except RequestError as error:
        return refused_list(template, error, _SAME_NAMES, **{name: []}, **values)
    older = url_for(f"console.{name}", **filters, after=found.page_info.end_cursor)
    values |= {
        name: found.nodes,
        "newest_url": url_for(f"console.{name}", **filters) if after else None,
        "older_url": older if found.page_info.has_next_page else None,
    }
    return page(template, **values)


def filters_of(names: Sequence[str]) -> Filters:
    """The filters in the URL, without empty ones."""
    return {name: request.args[name] for name in names if request.args.get(name)}


def refused_list(template: str, error: RequestError, names: Mapping[Any, str] = _SAME_NAMES, **values: Any) -> Response:
    """The list page for invalid filters: the filters with their error.

    ``names`` are the names in the form of those filters that have others in the API.
    """
    field = error.extensions.get("field")
    wrong = {
        "field": names.get(field, field),
        "message": without_name(error.message, field) if field else error.message,
    }
    # 200 for htmx: a browser's console would log 400 as a failed request.
    status = 200 if is_htmx() else 400
    return page(template, status, wrong=wrong, **values)


def known_id(number: int) -> int:
    """A number of the URL that is a possible id; aborts with 404 for any other."""
    if not 0 < number <= ID_MAX:
        abort(404, f"There is nothing with the number {str(number)[:30]}")
    return number
