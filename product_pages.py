"""Answers reads of products and receipts: limits of a page, cursors, waiting for an own write."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import product as rules
from connections import (
    PAGE_DEFAULT,
    Edge,
    Page,
    PageInfo,
    check_name,
    check_page_size,
    check_search,
    newest_first,
    parse_id,
    shorten,
)
from database.products import Position, ProductFilter, ProductOrder
from graphql_http import RequestError
from product import Product
from request_context import Context
from writes import Write, WriteFilter


@dataclass(frozen=True, slots=True)
class Receipt:
    """A write and, read once for all receipts of an answer, the products they are about."""

    write: Write
    shelf: "Shelf"


class Shelf:
    """Reads the products of a page of receipts in one query, when the first of them is asked for."""

    def __init__(self, context: Context, writes: Sequence[Write]) -> None:
        self._context = context
        self._ids = [write.product_id for write in writes]
        self._products: dict[int, Product] | None = None

    def get(self, product_id: int) -> Product | None:
        """The product now, or None: not created yet, or deleted."""
        if self._products is None:
            self._products = self._context.products.get_many(self._ids)
        found = self._products.get(product_id)
        return None if found is None else self._context.shown(found)


def await_write(context: Context, after_write: str | None) -> None:
    """Let a read see an own write: wait until that write is settled, for the wait's limit at the most."""
    if after_write is None:
        return
    write_id = parse_id("afterWrite", after_write)
    queue = context.queue
    if not queue.knows(write_id):
        raise RequestError(f"afterWrite is {after_write!r}: there is no such write")
    if queue.is_settled(write_id):
        return
    if queue.wait(write_id, context.wait_seconds) is None and not queue.is_settled(write_id):
        raise RequestError(
            f"Write {write_id} is accepted and still waits: nothing is lost, ask again later",
            code="WRITE_PENDING",
            writeId=str(write_id),
        )


def all_products(context: Context, search: str | None, first: int, skip: int) -> list[Product]:
    """A page by offset, in the order of ids."""
    check_page_size("first", first)
    if skip < 0:
        raise RequestError(f"skip is {skip}: give 0 or more")
    return [context.shown(item) for item in context.products.page(check_search(search), first, skip)]


def products_page(
    context: Context,
    wanted: ProductFilter,
    order: ProductOrder,
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
    follow = context.products.before if backwards else context.products.after
    items = follow(wanted, order, position, size + 1)
    more = len(items) > size
    if more:
        items = items[1:] if backwards else items[:size]
    other_side = _has_other_side(context, wanted, order, position, backwards=backwards)
    edges = [Edge(_cursor(item, order), context.shown(item)) for item in items]
    info = PageInfo(
        has_next_page=other_side if backwards else more,
        has_previous_page=more if backwards else other_side,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Page(edges, info, lambda: context.products.count(wanted))


def receipts_page(context: Context, wanted: WriteFilter, first: int, after: str | None) -> Page:
    """Receipts, newest first."""
    check_page_size("first", first)
    check_name(wanted.by)
    before = None if after is None else parse_id("after", after)
    writes = context.queue.newest(wanted, before, first + 1)
    shelf = Shelf(context, writes[:first])
    return newest_first(writes, first, after, lambda write: Edge(str(write.id), Receipt(write, shelf)))


def check_price_bound(name: str, value: float | None) -> int | None:
    """A price bound of a filter in minor units."""
    if value is None:
        return None
    try:
        return rules.check_price(name, value)
    except rules.FieldError as error:
        raise RequestError(str(error), field=name) from error


def _has_other_side(
    context: Context,
    wanted: ProductFilter,
    order: ProductOrder,
    position: Position | None,
    *,
    backwards: bool,
) -> bool:
    """Whether anything lies on the far side of the cursor: looked up, since it may have been deleted."""
    if position is None:
        return False
    at_cursor = context.products.get(position.product_id)
    unmoved = at_cursor is not None and getattr(at_cursor, order.field) == position.value
    if at_cursor is not None and unmoved and wanted.lets_through(at_cursor):
        return True
    beyond = context.products.after if backwards else context.products.before
    return bool(beyond(wanted, order, position, 1))


def _cursor(item: Product, order: ProductOrder) -> str:
    place = json.dumps([order.name, getattr(item, order.field), item.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode()


def _position(name: str, cursor: str, order: ProductOrder) -> Position:
    try:
        order_name, value, product_id = json.loads(base64.urlsafe_b64decode(cursor))
        sound = isinstance(product_id, int) and isinstance(value, str if order.field == "title" else int)
    except (ValueError, TypeError, RecursionError):
        sound, order_name = False, order.name
    if order_name != order.name:
        raise RequestError(
            f"The cursor in {name} belongs to the order {shorten(repr(order_name))}, not {order.name}: "
            "start without a cursor"
        )
    if not sound or not _storable(value, product_id):
        raise RequestError(f"{name} is {shorten(cursor)!r}: give a cursor that the API answered")
    return Position(value, product_id)


def _storable(value: str | int, product_id: int) -> bool:
    whole = [product_id] if isinstance(value, str) else [product_id, value]
    return all(-(2**63) <= number < 2**63 for number in whole) and not (
        isinstance(value, str) and rules.unusable_character(value)
    )
