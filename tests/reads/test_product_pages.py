"""Pages keep their place while rows come and go."""

from typing import Any

import pytest
from declared import ORDERS, product_filter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import Catalogue, create, delete, update
from sqlalchemy import event

from afterwrite.graphql_http import RequestError
from afterwrite.reads.connections import Page
from afterwrite.reads.pages import records_page
from afterwrite.resources.compiled import Record
from afterwrite.resources.write import WriteFilter, WriteStatus
from afterwrite.storage.records import RecordOrder
from afterwrite.writes.requests import receipts_page

EVERYTHING = product_filter()
TITLES = st.sampled_from(["apple", "Apple", "banana", "Cherry", "cherry", "éclair", "_x"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("create"), TITLES, st.integers(0, 3)),
        st.tuples(st.just("delete"), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("update"), st.integers(1, 12), st.integers(0, 3)),
    ),
    max_size=3,
)


def key(product: Record, order: RecordOrder) -> tuple[object, int]:
    """What an order compares: ASCII letters in any case, then the id."""
    value = getattr(product, order.column)
    if isinstance(value, str):
        value = "".join(char.lower() if char.isascii() else char for char in value)
    return value, product.id


def in_order(catalogue: Catalogue, order: RecordOrder) -> list[Record]:
    """All products in an order, worked out here."""
    everything = catalogue.products.page("", 500, 0)
    return sorted(everything, key=lambda product: key(product, order), reverse=order.descending)


def nodes(page: Page) -> list[int]:
    """The ids of a page."""
    return [edge.node.id for edge in page.edges]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    titles=st.lists(st.tuples(TITLES, st.integers(0, 3)), min_size=1, max_size=9),
    order=st.sampled_from(list(ORDERS.values())),
    size=st.integers(1, 4),
    backwards=st.booleans(),
    changes=st.lists(CHANGES, max_size=4),
)
def test_paging_on_meets_every_product_that_stayed_exactly_once(
    catalogue: Catalogue,
    titles: list[tuple[str, int]],
    order: RecordOrder,
    size: int,
    backwards: bool,
    changes: list[list[tuple[str, object, int]]],
) -> None:
    catalogue.write(*(create(title, price) for title, price in titles))
    base = catalogue.products.last_id() - len(titles)
    touched: set[int] = set()
    met: list[int] = []
    cursor, more, steps = None, True, iter(changes)
    while more:
        page = (
            records_page(catalogue.products, EVERYTHING, order, None, None, size, cursor)
            if backwards
            else records_page(catalogue.products, EVERYTHING, order, size, cursor, None, None)
        )
        met += reversed(nodes(page)) if backwards else nodes(page)
        more = page.page_info.has_previous_page if backwards else page.page_info.has_next_page
        cursor = page.page_info.start_cursor if backwards else page.page_info.end_cursor
        for change, what, price in next(steps, []):
            touched.add(apply(catalogue, change, what, price, base))
    stayed = [product.id for product in in_order(catalogue, order) if product.id not in touched]
    if backwards:
        stayed.reverse()
    assert [number for number in met if number not in touched] == stayed
    catalogue.write(*(delete(product.id) for product in catalogue.products.page("", 500, 0)), create("last"))


def apply(catalogue: Catalogue, change: str, what: object, price: int, base: int) -> int:
    """Change one product, and return its id."""
    if change == "create":
        return catalogue.write(create(str(what), price))[0].record_id
    assert isinstance(what, int)
    request = delete(base + what) if change == "delete" else update(base + what, price_minor=price)
    return catalogue.write(request)[0].record_id


@pytest.mark.parametrize("order", ORDERS.values())
def test_a_page_tells_what_lies_on_both_sides(catalogue: Catalogue, order: RecordOrder) -> None:
    catalogue.write(*(create(title, number // 2) for number, title in enumerate("abcde")))
    expected = [product.id for product in in_order(catalogue, order)]
    context = catalogue.context
    first = records_page(context.records["Product"], EVERYTHING, order, 2, None, None, None)
    second = records_page(context.records["Product"], EVERYTHING, order, 2, first.page_info.end_cursor, None, None)
    third = records_page(context.records["Product"], EVERYTHING, order, 2, second.page_info.end_cursor, None, None)
    assert nodes(first) + nodes(second) + nodes(third) == expected
    sides = [(page.page_info.has_previous_page, page.page_info.has_next_page) for page in (first, second, third)]
    assert sides == [(False, True), (True, True), (True, False)]
    back = records_page(context.records["Product"], EVERYTHING, order, None, None, 2, third.page_info.start_cursor)
    assert (nodes(back), back.page_info) == (nodes(second), second.page_info)


def test_no_page_of_the_connection_uses_an_offset(catalogue: Catalogue) -> None:
    catalogue.write(*(create(title) for title in "abc"))
    offsets: list[int] = []

    def note(_c: object, _cur: object, statement: str, values: Any, *_rest: object) -> None:
        # SQLAlchemy's SQLite writes it with every LIMIT; counts with an early end, before a search, have their own.
        if "OFFSET" in statement and "created_at_us" in statement:
            assert statement.endswith("OFFSET ?")
            offsets.append(values[-1])

    event.listen(catalogue.reader, "before_cursor_execute", note)
    for order in ORDERS.values():
        page = records_page(catalogue.products, product_filter(search="a"), order, 1, None, None, None)
        records_page(catalogue.products, EVERYTHING, order, 1, page.page_info.end_cursor, None, None)
    event.remove(catalogue.reader, "before_cursor_execute", note)
    assert set(offsets) <= {0}


def test_a_cursor_of_another_order_is_refused(catalogue: Catalogue) -> None:
    catalogue.write(create("a"), create("b"))
    page = records_page(catalogue.products, EVERYTHING, ORDERS["ID_ASC"], 1, None, None, None)
    with pytest.raises(RequestError, match="belongs to the order 'ID_ASC', not PRICE_ASC"):
        records_page(catalogue.products, EVERYTHING, ORDERS["PRICE_ASC"], 1, page.page_info.end_cursor, None, None)


@given(cursor=st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.hex()))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_as_a_cursor_is_refused_and_breaks_nothing(catalogue: Catalogue, cursor: str) -> None:
    with pytest.raises(RequestError):
        records_page(catalogue.products, EVERYTHING, ORDERS["TITLE_ASC"], 1, cursor, None, None)


def test_receipts_page_over_journal_and_ledger_newest_first(catalogue: Catalogue) -> None:
    settled = catalogue.write(create("a"), delete(99), create("b"))
    catalogue.hold()
    waiting = catalogue.queue.accept([create("c"), create("d")])
    expected = [write.id for write in [*settled, *waiting]][::-1]
    first = receipts_page(catalogue.queue, WriteFilter(), 3, None)
    assert [edge.node.id for edge in first.edges] == expected[:3]
    assert [edge.node.status for edge in first.edges] == ["QUEUED", "QUEUED", "APPLIED"]
    catalogue.settle()  # what was met as waiting settles between the pages
    second = receipts_page(catalogue.queue, WriteFilter(), 3, first.page_info.end_cursor)
    assert [edge.node.id for edge in second.edges] == expected[3:]
    assert not second.page_info.has_next_page
    failed = receipts_page(catalogue.queue, WriteFilter(WriteStatus.FAILED), 3, None)
    assert [edge.node.id for edge in failed.edges] == [settled[1].id]
    assert receipts_page(catalogue.queue, WriteFilter(WriteStatus.QUEUED), 3, None).edges == []
