"""Pages of products, by offset or by cursor."""

import base64
import json

from afterwrite.base.text import find_unusable, shorten
from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import PAGE_DEFAULT, Edge, Page, check_page_size, check_search, page_of
from afterwrite.resources import product as rules
from afterwrite.resources.product import Product
from afterwrite.storage.products import Position, ProductFilter, ProductOrder, Products


def all_products(products: Products, search: str | None, first: int, skip: int) -> list[Product]:
    """A page by offset, ordered by id."""
    check_page_size("first", first)
    if skip < 0:
        raise RequestError(f"skip is {skip}: give 0 or more")
    return products.page(check_search(search), first, skip)


def products_page(
    products: Products,
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
    follow = products.before if backwards else products.after
    items = follow(wanted, order, position, size + 1)
    more = len(items) > size
    if more:
        items = items[1:] if backwards else items[:size]
    other_side = _has_other_side(products, wanted, order, position, backwards=backwards)
    edges = [Edge(_cursor(item, order), item) for item in items]
    has_next, has_previous = (other_side, more) if backwards else (more, other_side)
    return page_of(edges, lambda: products.count(wanted), has_next=has_next, has_previous=has_previous)


def check_price_bound(name: str, value: float | None) -> int | None:
    """A price bound of a filter in minor units."""
    if value is None:
        return None
    try:
        return rules.check_price(name, value)
    except rules.FieldError as error:
        raise RequestError(str(error), field=name) from error


def _has_other_side(
    products: Products, wanted: ProductFilter, order: ProductOrder, position: Position | None, *, backwards: bool
) -> bool:
    """Whether anything lies on the other side of the cursor; queried, because it may have been deleted."""
    if position is None:
        return False
    at_cursor = products.get(position.product_id)
    unmoved = at_cursor and _ordered(getattr(at_cursor, order.field)) == _ordered(position.value)
    if at_cursor is not None and unmoved and wanted.lets_through(at_cursor):
        return True
    beyond = products.after if backwards else products.before
    return bool(beyond(wanted, order, position, 1))


def _ordered(value: str | int) -> bytes | int:
    """A value as orders compare it: ASCII letters in any case."""
    return value.encode().lower() if isinstance(value, str) else value


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
    return all(-(2**63) <= number < 2**63 for number in whole) and not (isinstance(value, str) and find_unusable(value))
