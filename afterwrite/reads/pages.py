"""Pages of records, by offset or by cursor."""

import base64
import json
from math import isfinite
from typing import Any

from afterwrite.base.text import find_unusable, shorten
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import PAGE_DEFAULT, Edge, Page, check_page_size, check_search, page_of
from afterwrite.resources.compiled import Record
from afterwrite.storage.records import Position, RecordFilter, RecordOrder, Records


def all_records(records: Records, search: str | None, first: int, skip: int) -> list[Record]:
    """A page by offset, ordered by id."""
    check_page_size("first", first)
    if skip < 0:
        raise RequestError(f"skip is {skip}: give 0 or more")
    return records.page(check_search(search), first, skip)


def records_page(
    records: Records,
    wanted: RecordFilter,
    order: RecordOrder,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Page:
    """A page of the Relay connection: ``first`` after a cursor, or ``last`` before one."""
    check_search(wanted.search)
    backwards = last is not None or (before is not None and first is None)
    if backwards and (first is not None or after is not None):
        raise RequestError("Give first and after, or last and before, not both pairs")
    if not backwards and before is not None:
        raise RequestError("before goes with last: give last and before, or first and after")
    size = (last if backwards else first) or (PAGE_DEFAULT if last is None and first is None else 0)
    check_page_size("last" if backwards else "first", size)
    cursor = before if backwards else after
    position = None if cursor is None else _position("before" if backwards else "after", cursor, order)
    follow = records.before if backwards else records.after
    items = follow(wanted, order, position, size + 1)
    more = len(items) > size
    if more:
        items = items[1:] if backwards else items[:size]
    other_side = _has_other_side(records, wanted, order, position, backwards=backwards)
    edges = [Edge(_cursor(item, order), item) for item in items]
    has_next, has_previous = (other_side, more) if backwards else (more, other_side)
    return page_of(edges, lambda: records.count(wanted), has_next=has_next, has_previous=has_previous)


def _has_other_side(
    records: Records, wanted: RecordFilter, order: RecordOrder, position: Position | None, *, backwards: bool
) -> bool:
    """Whether anything lies on the other side of the cursor; queried, because it may have been deleted."""
    if position is None:
        return False
    at_cursor = records.get(position.record_id)
    unmoved = at_cursor is not None and order.sorted_value(order.place_of(at_cursor).value) == order.sorted_value(
        position.value
    )
    if unmoved and wanted.lets_through(at_cursor):
        return True
    beyond = records.after if backwards else records.before
    return bool(beyond(wanted, order, position, 1))


def _cursor(item: Record, order: RecordOrder) -> str:
    place = json.dumps([order.name, *order.place_of(item)], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode()


def _position(name: str, cursor: str, order: RecordOrder) -> Position:
    try:
        order_name, value, record_id = json.loads(base64.urlsafe_b64decode(cursor))
        sound = isinstance(record_id, int) and _can_be_in(order, value)
    except (ValueError, TypeError, RecursionError):
        sound, order_name = False, order.name
    if order_name != order.name:
        raise RequestError(
            f"The cursor in {name} belongs to the order {shorten(repr(order_name))}, not {order.name}: "
            "start without a cursor"
        )
    if not sound or not _storable(value, record_id):
        raise RequestError(f"{name} is {shorten(cursor)!r}: give a cursor that the API answered")
    return Position(value, record_id)


def _can_be_in(order: RecordOrder, value: Any) -> bool:
    """Whether the order's column can have the value."""
    if order.field is None:
        return isinstance(value, int)
    if value is None:
        return not order.field.required
    kind = order.field.stored
    return isinstance(value, (int, float) if kind is float else kind)


def _storable(value: Any, record_id: int) -> bool:
    whole = [number for number in (record_id, value) if isinstance(number, int)]
    if isinstance(value, float) and not isfinite(value):
        return False
    return all(-(2**63) <= number < 2**63 for number in whole) and not (isinstance(value, str) and find_unusable(value))
