"""A search is exact, whatever the index holds, and does not read more than it must."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from declared import ORDERS, product_filter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import Catalogue, EmbeddedCatalogue, create, delete, update
from oracle import found_by
from sqlalchemy import event

from afterwrite.resources.compiled import Record

LETTERS = "aAbß ßsS\"'%_*?[]-İıÉé日本😀xe\u0301\u0327\u0345か\u3099\u1112\u1161\u11ab\u0390\u212a"
TEXTS = st.text(alphabet=LETTERS, min_size=1, max_size=12).filter(lambda text: not text.isspace())
TERMS = st.one_of(st.text(alphabet=LETTERS, min_size=1, max_size=5), TEXTS)


def ids(products: list[Record]) -> list[int]:
    """Their ids."""
    return [product.id for product in products]


def everything(catalogue: Catalogue) -> list[Record]:
    """All products, by id."""
    return catalogue.products.page("", 500, 0)


def assert_exact(catalogue: Catalogue, term: str) -> None:
    """Compare a search with a plain look at every product."""
    expected = [product.id for product in everything(catalogue) if found_by(term, product._asdict())]
    assert ids(catalogue.products.page(term, 500, 0)) == expected
    assert catalogue.products.count(product_filter(search=term)) == len(expected)
    for order in ORDERS.values():
        assert sorted(ids(catalogue.products.after(product_filter(search=term), order, None, 500))) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.none() | TEXTS), min_size=1, max_size=4), term=TERMS)
def test_a_search_finds_what_a_plain_look_finds(
    catalogue: Catalogue, texts: list[tuple[str, str | None, str | None]], term: str
) -> None:
    catalogue.write(*(create(title, description=text, category=kind) for title, text, kind in texts))
    for wanted in (term, texts[0][0], texts[-1][0][-3:]):
        assert_exact(catalogue, wanted)
    catalogue.settle()
    catalogue.follow_index(2)
    assert_exact(catalogue, term)
    while catalogue.follow_index(3):
        assert_exact(catalogue, term)
    catalogue.write(*(delete(product.id) for product in everything(catalogue)))


@pytest.mark.parametrize("term", ["wool", "WOOL", "oo", "w", "blanket, wo", '"', "100%", "a_b", "[", "*", "?", "]x"])
def test_a_search_is_exact_before_while_and_after_the_index_follows(catalogue: Catalogue, term: str) -> None:
    titles = ["Wool blanket", 'Quote " mark', "100% wool", "a_b", "aXb", "[x]x", "star*", "why?", "plain"]
    catalogue.write(*(create(title, description="blanket, wooden") for title in titles))
    assert_exact(catalogue, term)
    catalogue.settle()
    while catalogue.follow_index(2):
        assert_exact(catalogue, term)
    first = everything(catalogue)[0].id
    catalogue.write(
        update(first, title="Linen"), update(first + 1, title="Wool " + term), delete(first + 2), create("Late wool")
    )
    assert_exact(catalogue, term)
    catalogue.settle()
    while catalogue.follow_index(1):
        assert_exact(catalogue, term)


def test_a_match_never_reaches_over_two_fields(catalogue: Catalogue) -> None:
    catalogue.write(create("red", description="lamp", category="shop"))
    for term in ("redlamp", "red lamp", "red\nlamp", "lampshop", "dl"):
        assert catalogue.products.page(term, 10, 0) == []


def test_a_long_term_is_found(catalogue: Catalogue) -> None:
    text = "".join(chr(ord("a") + number % 26) + str(number) for number in range(60))[:200]
    catalogue.write(create("long", description=f"before {text} after"), create("other", description=text[:-1]))
    assert ids(catalogue.products.page(text, 10, 0)) == [1]


def test_characters_that_a_database_may_take_for_one_another_are_told_apart(catalogue: Catalogue) -> None:
    catalogue.write(create("x\ufffey"), create("x\ufffdy"), create("x\uffffy"))
    catalogue.settle()
    for _ in range(2):  # before and after the index follows
        for place, term in enumerate(("\ufffe", "\ufffd", "\uffff"), start=1):
            for wanted in (term, f"x{term}y"):
                assert [item.id for item in catalogue.products.page(wanted, 9, 0)] == [place]
        catalogue.follow_index(9)


def test_the_filters_hold_beside_a_search(catalogue: Catalogue) -> None:
    catalogue.write(
        create("lamp one", 100, category="Home"), create("lamp two", 200, category="Home"), create("lamp", 150)
    )
    wanted = product_filter(search="LAMP", category="Home", min_price_minor=150, max_price_minor=200)
    assert ids(catalogue.products.after(wanted, ORDERS["PRICE_ASC"], None, 10)) == [2]
    assert catalogue.products.count(wanted) == 1
    assert catalogue.products.count(product_filter(category="Ho\0me")) == 0


# Of SQLite only: it is SQLite's plan that is read.
def test_a_page_by_id_reads_the_index_in_order_and_sorts_nothing(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    catalogue.write(*(create(f"common {number}") for number in range(50)))
    catalogue.settle()
    catalogue.follow_index(1000)
    plan = explain(catalogue, "common")
    assert "SCAN products_fts VIRTUAL TABLE" in plan
    assert "TEMP B-TREE" not in plan
    assert "SCAN products\n" not in plan + "\n"
    catalogue.stop()


def explain(catalogue: EmbeddedCatalogue, term: str) -> str:
    """SQLite's plan for the first page by id of a search."""
    statements: list[tuple[str, object]] = []

    def note(_c: object, _cur: object, statement: str, values: object, *_rest: object) -> None:
        statements.append((statement, values))

    event.listen(catalogue.engine, "before_cursor_execute", note)
    catalogue.products.page(term, 10, 0)
    event.remove(catalogue.engine, "before_cursor_execute", note)
    [(statement, values)] = statements
    with closing(sqlite3.connect(catalogue.path)) as connection:
        assert isinstance(values, tuple)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return "\n".join(row[3] for row in rows)
