"""The pure functions of the product pipeline: every product is accounted for, every figure is exact."""

from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median
from typing import Any

import pytest
from declared import PRODUCT
from hypothesis import given, settings
from hypothesis import strategies as st
from product_lists import LAMP, PAYLOADS

from afterwrite.jobs.pipeline import adds_up, decimal_of, parts, price_band, transform, validate, verdict, with_products
from afterwrite.jobs.words import KEYWORDS_MAX, SLUG_MAX, category_name, keywords, slug, tidy, unique


@settings(deadline=None)
@given(PAYLOADS)
def test_every_product_is_accepted_or_refused_once_by_the_rules_of_a_product(payload: Any) -> None:
    checked = validate(payload["products"])
    refused = [refusal["index"] for refusal in checked.refusals]
    assert sorted([*checked.products, *refused]) == list(range(len(payload["products"])))
    assert all(refusal["errors"] for refusal in checked.refusals)


@given(st.lists(st.tuples(st.integers(0, 10**13), st.sampled_from(("a", "b", None))), min_size=1, max_size=40))
def test_the_figures_of_all_and_of_each_category_are_exact(rows: list[tuple[int, str | None]]) -> None:
    items = [{"title": "x", "price": str(Decimal(minor).scaleb(-2)), "category": name} for minor, name in rows]
    enriched = transform(validate(items).products)
    groups = {name: [minor for minor, other in rows if other == name] for _minor, name in rows}
    expected = [(None, [minor for minor, _name in rows], enriched.figures)]
    expected += [(row["category"], groups[row["category"]], row) for row in enriched.categories]
    for _name, minors, figures in expected:
        assert figures["count"] == len(minors)
        assert Decimal(figures["total"]) * 100 == sum(minors)
        assert (
            PRODUCT.fields["price"].check("", figures["min"]),
            PRODUCT.fields["price"].check("", figures["max"]),
        ) == (min(minors), max(minors))
        mean = (Decimal(sum(minors)) / len(minors)).quantize(Decimal(1), ROUND_HALF_EVEN)
        assert Decimal(figures["mean"]) * 100 == mean
        middle = Decimal(median(map(Decimal, minors))).quantize(Decimal(1), ROUND_HALF_EVEN)
        assert Decimal(figures["median"]) * 100 == middle
    counts = [row["count"] for row in enriched.categories]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == len(rows)


# -- the pure functions -----------------------------------------------------------------------------------------


def test_a_rating_may_be_a_number_or_a_rate_with_a_count_or_two_fields() -> None:
    ways: list[dict[str, Any]] = [
        {"rating": 4},
        {"rating": {"rate": 4.0}},
        {"rating_rate": 4, "rating": None},
        {"rating_rate": 4, "rating": {"count": None}},
        {"ratingRate": "4"},
        {"rating": "4,0"},
    ]
    for way in ways:
        (product,) = transform(validate([{"title": "a", "price": 1, **way}]).products).products
        assert product["rating"] == {"rate": 4.0, "count": None}, way


@pytest.mark.parametrize("rating", [5.1, -1, "four", True, [], {"rate": "5.1"}, {"count": 1.5}, {"count": -1}])
def test_a_rating_that_is_none_is_refused(rating: object) -> None:
    (refusal,) = validate([{"title": "a", "price": 1, "rating": rating}]).refusals
    assert refusal["errors"][0]["field"] in ("rating_rate", "rating_count")


def test_a_price_is_low_or_high_outside_the_middle_half_of_its_category() -> None:
    prices = [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert [price_band(price, prices) for price in prices] == ["LOW"] * 2 + ["MIDDLE"] * 5 + ["HIGH"] * 2


@pytest.mark.parametrize("prices", [[5], [5, 9], [1, 5, 9], [1, 1, 9, 9], [5] * 100])
def test_few_or_equal_prices_are_all_in_the_middle(prices: list[int]) -> None:
    assert {price_band(price, prices) for price in prices} == {"MIDDLE"}


@pytest.mark.parametrize(("count", "many", "long"), [(1, 1, 500), (500, 1, 500), (501, 2, 500), (500_001, 999, 501)])
def test_a_list_has_no_more_parts_than_airflow_takes(count: int, many: int, long: int) -> None:
    assert (len(parts(count)), parts(count).step) == (many, long)
    assert len(parts(10 * count)) <= 1_000


def test_a_report_that_lost_a_product_does_not_add_up() -> None:
    checked = validate([LAMP, {}, LAMP])
    report = with_products(verdict(checked, 9000), transform(checked.products), 9000)
    assert adds_up(report, 3)
    assert not adds_up(report, 4)
    assert not adds_up({**report, "productsLeftOut": 1}, 3)
    assert not adds_up({**report, "refused": 0}, 3)
    assert not adds_up(verdict(checked, 9000), 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Desk Lamp", "desk-lamp"),
        ("  Crème brûlée: 2 for 1!", "creme-brulee-2-for-1"),
        ("Straße", "strasse"),
        ("红灯笼 大", "红灯笼-大"),
        ("हिन्दी", "हिन्दी"),
        ("½ & ¾", "1-2-3-4"),
        ("!!! 😀", ""),
        ("word " * 50, ("word-" * 16)[:-1]),
    ],
)
def test_a_slug_keeps_the_words_of_every_script(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_no_two_slugs_are_the_same() -> None:
    assert unique(map(slug, ["Lamp", "lamp!", "Lamp 2", "LAMP", "?", "!"])) == [
        "lamp",
        "lamp-2",
        "lamp-2-2",
        "lamp-3",
        "product",
        "product-2",
    ]


@given(st.lists(st.text(max_size=4) | st.sampled_from(("a", "a 2", "a-2-2", "A"))))
def test_slugs_of_any_titles_are_different_and_short(titles: list[str]) -> None:
    slugs = unique(map(slug, titles))
    assert len(set(slugs)) == len(slugs) == len(titles)
    assert all(0 < len(slug) <= SLUG_MAX + 8 for slug in slugs)


@pytest.mark.parametrize("spelling", ["Mens-Shoes", " mens_shoes", "MENS  SHOES", "mens\tshoes "])
def test_the_spellings_of_a_category_are_one(spelling: str) -> None:
    assert category_name(spelling) == "mens shoes"


@pytest.mark.parametrize("nothing", [None, "", " ", "-_-"])
def test_a_category_without_words_is_none(nothing: str | None) -> None:
    assert category_name(nothing) is None


def test_keywords_are_different_words_of_two_characters_or_more() -> None:
    assert keywords("A Lamp, a lamp for TV", "Lamps") == ["lamp", "for", "tv", "lamps"]
    assert len(keywords(" ".join(map(str, range(100, 200))), None)) == KEYWORDS_MAX


@given(st.text())
def test_a_tidy_text_stays_as_it_is_when_it_is_tidied_again(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


def test_the_decimal_sign_of_a_list_is_told_or_shown_by_its_prices() -> None:
    lamp, desk = {"title": "Lamp", "price": "1,500"}, {"title": "Desk", "price": "12,50"}
    assert decimal_of([lamp, desk], None) == "comma"
    assert decimal_of([lamp, desk], "point") == "point"
    assert decimal_of([lamp, desk, {"price": "12.50"}], None) is None
    assert decimal_of([lamp, {"title": "Desk", "price": 12.5}], None) is None
    assert validate([lamp, desk], decimal=decimal_of([lamp, desk], None)).products[0]["price_minor"] == 150
