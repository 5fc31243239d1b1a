"""A search is exact, whatever the index holds, and does not read more than it must."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from databases import OpenFiles
from declared import ORDERS, product_filter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import Catalogue, EmbeddedCatalogue, create, delete, update
from oracle import found_by
from sqlalchemy import event

from afterwrite.resources.compiled import Record
from afterwrite.storage import records, search
from afterwrite.storage.records import RecordOrder
from afterwrite.storage.sqlite import write_store

LETTERS = "aAbß ßsS\"'%_*?[]-İıÉé日本😀xe\u0301\u0327\u0345か\u3099\u1112\u1161\u11ab\u0390\u212a"
TEXTS = st.text(alphabet=LETTERS, min_size=1, max_size=12).filter(lambda text: not text.isspace())
TERMS = st.one_of(st.text(alphabet=LETTERS, min_size=1, max_size=5), TEXTS)


# What counts as few, how far a table is walked, and how many words are looked at: every way that a search can take, in
# a catalogue of any size.
WAYS = [(3_000, 5_000, 64), (3_000, 1, 1), (1, 5_000, 1), (1, 2, 64), (0, 0, 0)]
Way = tuple[int, int, int]


@pytest.fixture(autouse=True)
def _index_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the index follow only where a test says so, however long it takes."""
    monkeypatch.setattr(write_store, "_QUIET_SECONDS", 3_600)


def ids(products: list[Record]) -> list[int]:
    """Their ids."""
    return [product.id for product in products]


def everything(catalogue: Catalogue) -> list[Record]:
    """All products, by id."""
    return catalogue.products.page("", 500, 0)


def in_order(products: list[Record], order: RecordOrder) -> list[Record]:
    """The products as a list in this order has them."""
    return sorted(
        products,
        key=lambda product: (order.sorted_value(order.place_of(product).value), product.id),
        reverse=order.descending,
    )


def assert_exact(catalogue: Catalogue, term: str, ways: Sequence[Way] = WAYS) -> None:
    """Compare a search, in ways that it can take, with a plain look at every product."""
    matching = [product for product in everything(catalogue) if found_by(term, product._asdict())]
    for few, walked, words in ways if isinstance(catalogue.stores, OpenFiles) else ways[:1]:
        with (
            patch.multiple(search, _FEW=few, _FEW_BY_ID=few, _WORDS_MAX=words),
            patch.object(records, "_WALKED", walked),
        ):
            assert_pages(catalogue, term, matching)


def assert_pages(catalogue: Catalogue, term: str, matching: list[Record]) -> None:
    """Compare pages and the count with the products that match."""
    products, wanted = catalogue.products, product_filter(search=term)
    assert products.count(wanted) == len(matching)
    assert products.page(term, 500, 0) == matching
    assert products.page(term, 1, 1) == matching[1:2]
    for order in (ORDERS[name] for name in ("ID_DESC", "PRICE_ASC", "TITLE_DESC")):
        expected = in_order(matching, order)
        assert products.after(wanted, order, None, 500) == expected
        if expected:
            middle = len(expected) // 2
            assert products.after(wanted, order, order.place_of(expected[middle]), 2) == expected[middle + 1 :][:2]
            assert products.before(wanted, order, order.place_of(expected[middle]), 2) == expected[:middle][-2:]


def texts_alike(chance: Random, count: int) -> list[str]:
    """Texts of a few words of a few letters: their parts are in many of them, and in and between words."""
    words = ["".join(chance.choices("abé", k=chance.randint(1, 6))) for _ in range(6)]
    return [
        "".join(chance.choice(words) + chance.choice([" ", " ", "-", ". "]) for _ in range(9)) for _ in range(count)
    ]


def parts_of(chance: Random, texts: list[str], count: int) -> Iterator[str]:
    """Parts of the texts, and the same with one character changed, which are in few texts or in none."""
    for _ in range(count):
        text, start = chance.choice(texts), chance.randrange(40)
        part = text[start : start + chance.choice([1, 2, 3, 4, 5, 6, 12, 24])] or text
        place = chance.randrange(len(part))
        yield part
        yield part[:place] + chance.choice("abé ") + part[place + 1 :]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.none() | TEXTS), min_size=1, max_size=4),
    term=TERMS,
    way=st.sampled_from(WAYS),
)
def test_a_search_finds_what_a_plain_look_finds(
    catalogue: Catalogue, texts: list[tuple[str, str | None, str | None]], term: str, way: Way
) -> None:
    catalogue.write(*(create(title, description=text, category=kind) for title, text, kind in texts))
    for wanted in (term, texts[0][0], texts[-1][0][-3:]):
        assert_exact(catalogue, wanted, [way])
    catalogue.settle()
    catalogue.follow_index(2)
    assert_exact(catalogue, term, [way])
    while catalogue.follow_index(3):
        assert_exact(catalogue, term, [way])
    catalogue.write(*(delete(product.id) for product in everything(catalogue)))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), way=st.sampled_from(WAYS))
def test_a_search_finds_what_a_plain_look_finds_in_texts_that_are_much_alike(
    catalogue: Catalogue, seed: int, way: Way
) -> None:
    chance = Random(seed)
    texts = texts_alike(chance, 24)
    catalogue.write(*(create(text, 100 + len(text) % 3) for text in texts[:20]))
    catalogue.settle()
    while catalogue.follow_index(1_000):
        pass
    for term in parts_of(chance, texts, 8):
        assert_exact(catalogue, term, [way])
    first = everything(catalogue)[0].id
    catalogue.write(
        update(first, title=texts[20]), update(first + 1, description=texts[21]), delete(first + 2), create(texts[22])
    )
    for term in parts_of(chance, texts, 4):
        assert_exact(catalogue, term, [way])
    catalogue.settle()
    while catalogue.follow_index(2):
        for term in parts_of(chance, texts, 1):
            assert_exact(catalogue, term, [way])
    for term in parts_of(chance, texts, 4):
        assert_exact(catalogue, term, [way])
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


# Of SQLite only: in PostgreSQL a search is one statement.
@pytest.mark.parametrize("term", ["velvet", "l", "velvet cur"])
def test_a_record_that_gets_into_the_index_between_the_steps_of_a_search_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    catalogue.settle()  # the drain has looked at the index once
    catalogue.write(create("Wool blanket"), create("Velvet curtain"))
    catalogue.settle()
    choose, followed = search.Search.matching, []

    def follow(*given: Any, **named: Any) -> search.Found:
        chosen = choose(*given, **named)
        followed.append(catalogue.follow_index(1_000))
        return chosen

    monkeypatch.setattr(search.Search, "matching", follow)
    assert 2 in ids(catalogue.products.page(term, 10, 0))
    assert followed == [2]
    catalogue.stop()


# Of SQLite only: it is SQLite's plan that is read.
def test_a_page_by_id_reads_the_index_in_order_and_sorts_nothing(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "data")
    catalogue.write(*(create(f"common {number}") for number in range(50)))
    catalogue.settle()
    catalogue.follow_index(1000)
    plan = explain(catalogue, "common")
    assert "SCAN candidates VIRTUAL TABLE" in plan
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
    statement, values = next(one for one in statements if "found" in one[0])
    with closing(sqlite3.connect(catalogue.path)) as connection:
        assert isinstance(values, tuple)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return "\n".join(row[3] for row in rows)
