"""What the pages with lists have in common: filters in the URL, and links to newer and older items."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request, url_for

from connections import Page

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
