"""Relay connection pages, and validation of the arguments that request them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from afterwrite.base.text import find_unusable, shorten, unprintable_character
from afterwrite.graphql_http import RequestError

PAGE_DEFAULT = 50
PAGE_MAX = 500
SEARCH_MAX = 200
NAME_MAX = 64
ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(frozen=True, slots=True)
class Edge:
    """An item of a page with its cursor."""

    cursor: str
    node: Any


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a Relay connection; ``count`` is called only if the total is requested."""

    edges: list[Edge]
    page_info: PageInfo
    count: Callable[[], int] | None = None

    @property
    def nodes(self) -> list[Any]:
        """The items without cursors."""
        return [edge.node for edge in self.edges]


def newest_first(
    read: Callable[[int | None, int], Sequence[Any]],
    first: int,
    after: str | None,
    *,
    shown: Callable[[Any], Any] = lambda item: item,
    count: Callable[[], int] | None = None,
) -> Page:
    """The page of the ``first`` items after a cursor, which is an id. Raises RequestError.

    ``read(before, limit)`` returns up to ``limit`` items with an id below ``before`` (None: any), newest first;
    ``shown`` makes a node of an item.
    """
    check_page_size("first", first)
    items = read(None if after is None else parse_id("after", after), first + 1)  # one more: is there a next page?
    edges = [Edge(str(item.id), shown(item)) for item in items[:first]]
    return page_of(edges, count, has_next=len(items) > first, has_previous=after is not None)


def page_of(edges: list[Edge], count: Callable[[], int] | None, *, has_next: bool, has_previous: bool) -> Page:
    """The page of these edges."""
    start, end = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
    return Page(edges, PageInfo(has_next, has_previous, start, end), count)


def parse_id(name: str, text: str) -> int:
    """The number in an ID argument. Raises RequestError."""
    number = id_or_none(text)
    if number is None:
        raise RequestError(f"{name} is {shorten(text)!r}: give a whole number, as the API answered it")
    return number


def id_or_none(text: str) -> int | None:
    """The number in an ID argument, or None if it is not an id."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    number = int(text)
    return number if 0 < number <= ID_MAX else None


def check_page_size(name: str, size: int) -> None:
    """Raises RequestError unless the size is 0 to PAGE_MAX; an empty page still has totals and PageInfo."""
    if not 0 <= size <= PAGE_MAX:
        raise RequestError(f"{name} is {size}: give 0 to {PAGE_MAX}, and page on for more")


def check_search(search: str | None) -> str:
    """The search term; empty matches everything. Raises RequestError."""
    text = search or ""
    if len(text) > SEARCH_MAX:
        raise RequestError(f"search has {len(text)} characters: {SEARCH_MAX} are the limit", field="search")
    if found := find_unusable(text):
        raise RequestError(f"search has the character U+{ord(found[0]):04X}: remove it", field="search")
    return text


def check_name(by: str | None) -> str | None:
    """The caller's name of a filter; None matches everyone. Raises RequestError."""
    if by is not None and (not 1 <= len(by) <= NAME_MAX or unprintable_character(by)):
        message = f"by is {shorten(by)!r}: give a name of 1 to {NAME_MAX} printable characters"
        raise RequestError(message, field="by")
    return by
