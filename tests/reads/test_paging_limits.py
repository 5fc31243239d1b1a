"""Tests what pages say of their sides and limits, and what the queue says of itself."""

import base64
import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
from declared import ORDERS, PRODUCT, product_filter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from in_process import Catalogue, create, delete, update

from afterwrite.graphql_http import RequestError
from afterwrite.reads import filters, pages
from afterwrite.reads.connections import Page
from afterwrite.resources.compiled import Record
from afterwrite.resources.write import WriteFilter, WriteStatus
from afterwrite.service.context import Context
from afterwrite.storage.records import RecordOrder
from afterwrite.writes import requests
from afterwrite.writes.queue import QueueState

EVERYTHING = product_filter()


def place(item: Record, order: RecordOrder) -> tuple[bytes | int, int]:
    """What an order compares, worked out beside SQLite: ASCII letters in any case, then the id."""
    value = getattr(item, order.column)
    if isinstance(value, str):
        return bytes(value.encode().lower()), item.id
    return value, item.id


class Wanted(NamedTuple):
    """A filter, as this file works it out beside the database."""

    search: str = ""
    category: str | None = None
    min_price_minor: int | None = None
    max_price_minor: int | None = None


FILTERS = st.builds(
    Wanted,
    search=st.sampled_from(["", "amp", "A", "zz"]),
    category=st.sampled_from([None, "Home", "Shop"]),
    min_price_minor=st.sampled_from([None, 1, 2]),
    max_price_minor=st.sampled_from([None, 1, 3]),
)
ROWS = st.tuples(
    st.sampled_from(["Lamp", "lamp", "Åamp", "amp_", "table"]),
    st.integers(0, 3),
    st.sampled_from([None, "Home", "Shop"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROWS, min_size=1, max_size=8),
    changed=st.lists(st.tuples(st.integers(0, 7), ROWS | st.none()), max_size=4),
    wanted=FILTERS,
    order=st.sampled_from(list(ORDERS.values())),
    backwards=st.booleans(),
    size=st.integers(0, 4),
    at=st.integers(0, 7),
)
@example([("lamp", 0, None)], [(0, ("Lamp", 0, None))], Wanted(), ORDERS["TITLE_ASC"], False, 0, 0)
def test_a_page_after_any_change_is_what_a_sorted_list_gives(
    catalogue: Catalogue,
    rows: list[tuple[str, int, str | None]],
    changed: list[tuple[int, tuple[str, int, str | None] | None]],
    wanted: Wanted,
    order: RecordOrder,
    backwards: bool,
    size: int,
    at: int,
) -> None:
    catalogue.write(*(create(title, price, category=kind) for title, price, kind in rows))
    old = catalogue.products.page("", 500, 0)
    cursor_at = old[at % len(old)]
    cursor = pages._cursor(cursor_at, order)
    for number, row in changed:
        key = old[number % len(old)].id
        fields = row and {"title": row[0], "price_minor": row[1], "category": row[2]}
        catalogue.write(delete(key) if fields is None else update(key, **fields))
    kept = [item for item in catalogue.products.page("", 500, 0) if passes(item, wanted)]
    kept.sort(key=lambda item: place(item, order), reverse=order.descending)
    here = place(cursor_at, order)
    above = [item for item in kept if place(item, order) > here]
    beneath = [item for item in kept if place(item, order) < here]
    following, preceding = (beneath, above) if order.descending else (above, beneath)
    ahead = preceding[::-1] if backwards else following
    behind = len(kept) - len(ahead)  # the product at the cursor too, when it is still there
    sides = (size, cursor, None, None) if not backwards else (None, None, size, cursor)
    page = pages.records_page(catalogue.products, product_filter(*wanted), order, *sides)
    assert page.nodes == (ahead[:size][::-1] if backwards else ahead[:size])
    flags = (page.page_info.has_next_page, page.page_info.has_previous_page)
    assert flags == ((behind > 0, len(ahead) > size) if backwards else (len(ahead) > size, behind > 0))
    assert page.count is not None
    assert page.count() == len(kept)
    catalogue.write(*(delete(item.id) for item in old))


def passes(item: Record, wanted: Wanted) -> bool:
    """Whether a filter lets a product through, worked out here."""
    return (
        any(wanted.search.casefold() in (text or "").casefold() for text in (item.title, item.category))
        and (wanted.category is None or item.category == wanted.category)
        and (wanted.min_price_minor is None or item.price_minor >= wanted.min_price_minor)
        and (wanted.max_price_minor is None or item.price_minor <= wanted.max_price_minor)
    )


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda context: pages.all_records(context.records["Product"], None, 501, 0), "first is 501: give 0 to 500"),
        (lambda context: pages.all_records(context.records["Product"], None, -1, 0), "first is -1: give 0 to 500"),
        (lambda context: pages.all_records(context.records["Product"], None, 1, -1), "skip is -1: give 0 or more"),
        (
            lambda context: pages.all_records(context.records["Product"], "x" * 201, 1, 0),
            "search has 201 characters: 200 are",
        ),
        (
            lambda context: pages.all_records(context.records["Product"], "a\x1fb", 1, 0),
            r"search has the character U\+001F",
        ),
        (lambda context: connection(context, 501, None, None, None), "first is 501: give 0 to 500"),
        (lambda context: connection(context, -1, None, None, None), "first is -1: give 0 to 500"),
        (lambda context: connection(context, None, None, 501, None), "last is 501: give 0 to 500"),
        (lambda context: connection(context, None, None, -1, None), "last is -1: give 0 to 500"),
        (lambda context: connection(context, 1, None, 1, None), "first and after, or last and before"),
        (
            lambda context: requests.receipts_page(context.queue, WriteFilter(), 501, None),
            "first is 501: give 0 to 500",
        ),
        (
            lambda context: requests.receipts_page(context.queue, WriteFilter(), 1, "x"),
            "after is 'x': give a whole number",
        ),
        (
            lambda context: filters.stored_bound(PRODUCT.fields["price"], "minPrice", 1.001),
            "minPrice is 1.001: give at most two decimals",
        ),
    ],
)
def test_what_is_asked_past_a_limit_is_refused_with_the_limit(
    catalogue: Catalogue, ask: Callable[[Context], object], says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        ask(catalogue.context)


def connection(context: Context, first: int | None, after: str | None, last: int | None, before: str | None) -> Page:
    """A page of everything by id."""
    return pages.records_page(context.records["Product"], EVERYTHING, ORDERS["ID_ASC"], first, after, last, before)


@pytest.mark.parametrize(
    "content",
    [
        ["ID_ASC", 1, 2**63],
        ["ID_ASC", 1, 2**63 - 1],
        ["ID_ASC", -(2**63), -(2**63)],
        ["ID_ASC", 1, "1"],
        ["ID_ASC", 1],
        {"ID_ASC": 1},
        ["x" * 100_000, 1, 1],
        [["ID_ASC"] * 1_000, 1, 1],
    ],
)
def test_a_cursor_of_any_content_is_refused_shortly_or_a_place(catalogue: Catalogue, content: object) -> None:
    catalogue.write(create("lamp"))
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    try:
        assert len(connection(catalogue.context, 1, cursor, None, None).edges) <= 1
    except RequestError as refused:
        assert len(str(refused)) < 250


def test_the_connection_and_all_products_have_a_default_page(catalogue: Catalogue) -> None:
    catalogue.write(*(create(str(number)) for number in range(60)))
    page = connection(catalogue.context, None, None, None, None)
    assert (len(page.edges), page.page_info.has_next_page) == (50, True)
    assert page.count is not None
    assert page.count() == 60
    back = connection(catalogue.context, None, None, 500, None)
    assert (len(back.edges), back.page_info.has_previous_page) == (60, False)
    assert [item.id for item in pages.all_records(catalogue.products, None, 50, 55)] == [56, 57, 58, 59, 60]


def test_receipts_are_met_once_each_however_many_settle_between_the_pages(catalogue: Catalogue) -> None:
    expected = [write.id for write in catalogue.write(*(create(str(number)) for number in range(5)))]
    catalogue.settle()
    met: list[int] = []
    cursor = None
    for number in range(6):
        catalogue.hold()
        accepted = catalogue.queue.accept([create(f"late {number}"), delete(999)])
        if cursor is None:
            expected += [write.id for write in accepted]
        page = requests.receipts_page(catalogue.queue, WriteFilter(), 2, cursor)
        met += [edge.node.id for edge in page.edges]
        cursor = page.page_info.end_cursor or cursor
        catalogue.settle()
    assert met == expected[::-1]
    failed = requests.receipts_page(catalogue.queue, WriteFilter(WriteStatus.FAILED), 500, None)
    assert len(failed.edges) == 6


def test_the_queue_tells_its_figures(catalogue: Catalogue) -> None:
    catalogue.settle()
    assert catalogue.queue.status().state is QueueState.IDLE
    catalogue.hold()
    writes = catalogue.queue.accept([create("lamp"), delete(99)])
    waiting = catalogue.queue.status()
    assert (waiting.state, waiting.depth) == (QueueState.DRAINING, 2)
    assert waiting.size_bytes == sum(len(write.arguments) + 64 for write in writes)
    assert waiting.oldest_age_ms >= 0
    catalogue.settle()
    settled = catalogue.queue.status()
    assert (settled.state, settled.depth, settled.size_bytes, settled.oldest_age_ms) == (QueueState.IDLE, 0, 0, 0)
    assert (settled.applied_total, settled.failed_total) == (1, 1)
