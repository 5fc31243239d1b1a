"""Numbers are read as people write them where that is certain; where it is not, the row is refused and says why."""

from decimal import Decimal
from typing import Any

import pytest
from declared import PRODUCT
from hypothesis import given
from hypothesis import strategies as st

from afterwrite.resources.feed_fields import FeedReader
from afterwrite.resources.feed_numbers import DecimalSign, feed_number
from afterwrite.resources.field import FieldError

POINT, COMMA = DecimalSign.POINT, DecimalSign.COMMA


def price_of(text: str, decimal: DecimalSign | None = None, *, semicolons: bool = False) -> int | str:
    """The price in minor units, or why it is refused."""
    reader = FeedReader(PRODUCT, decimal)
    reader.values.has_semicolons = semicolons
    checked, refused = PRODUCT.check_new(reader.fields({"title": "Lamp", "price": text}))
    return str(refused[0]) if refused else int(checked["price_minor"])


@pytest.mark.parametrize("semicolons", [False, True])
@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("12", 1_200),
        ("12.5", 1_250),
        ("12.50", 1_250),
        ("12,50", 1_250),
        ("12,5", 1_250),
        ("0,500", 50),
        ("1234.500", 123_450),
        ("1.234,56", 123_456),
        ("1,234.56", 123_456),
        ("1.234.567", 123_456_700),
        ("1,234,567.8", 123_456_780),
        ("12,34,567.00", 123_456_700),
        ("1 234,50", 123_450),
        ("1\u00a0234", 123_400),
        ("1\u202f234,5", 123_450),
        ("1'234.50", 123_450),
        ("15.00 USD", 1_500),
        ("USD 15.00", 1_500),
        ("15,00EUR", 1_500),
        ("€12,50", 1_250),
        ("12,50 €", 1_250),
        ("US$ 1,234.00", 123_400),
        ("$15.00 USD", 1_500),
        (" 7 ", 700),
        ("1e2", 10_000),
        (".5", 50),
        ("99999999999.99", 9_999_999_999_999),
    ],
)
def test_a_price_is_read_where_it_is_certain(text: str, minor: int, semicolons: bool) -> None:
    assert price_of(text, semicolons=semicolons) == minor


@pytest.mark.parametrize(
    ("text", "semicolons", "point", "comma"),
    [
        ("1,234", False, 123_400, "two decimals"),
        ("1,500", True, 150_000, 150),
        ("1.500", True, 150, 150_000),
        ("1.500 EUR", True, 150, 150_000),
    ],
)
def test_a_price_that_may_be_two_is_refused_until_the_sign_is_told(
    text: str, semicolons: bool, point: int | str, comma: int | str
) -> None:
    told = price_of(text, semicolons=semicolons)
    assert 'do not show the decimal sign: give "decimal": "point" or "comma" next to the' in str(told)
    for sign, wanted in ((POINT, point), (COMMA, comma)):
        found = price_of(text, sign, semicolons=semicolons)
        assert found == wanted or str(wanted) in str(found)


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("12.5", POINT),
        ("12,50 €", COMMA),
        ("0,500", COMMA),
        ("1234.500", POINT),
        ("1.234.567", COMMA),
        ("1,234,567", POINT),
        ("1.234,50", COMMA),
        ("12,34,567", POINT),
        ("1 234,5", COMMA),
        ("1 234.567", POINT),
        ("1 234", None),
        ("12", None),
        ("1,234", None),
        ("1.234", None),
    ],
)
def test_a_number_shows_the_decimal_sign_where_it_is_certain(text: str, shows: DecimalSign | None) -> None:
    reader = FeedReader(PRODUCT)
    reader.fields({"price": text})
    assert reader.values.seen_signs == ({shows} if shows else set())


@given(st.decimals(0, 10**9, places=2), st.sampled_from([".,", ",.", " ,", "'."]))
def test_no_number_with_two_decimals_shows_the_wrong_sign(value: Decimal, signs: str) -> None:
    text = f"{value:,.2f}".replace(",", "G").replace(".", signs[1]).replace("G", signs[0])
    found = feed_number(text)
    assert found is not None
    assert found.evident_sign is not None
    assert found.evident_sign.mark == signs[1]


def test_a_point_is_the_decimal_sign_where_there_is_no_semicolon() -> None:
    assert price_of("1.500") == 150


@pytest.mark.parametrize(
    "text", ["abc", "12 50", "1,23,4", "1.2.3", "1,,2", "12,-", "N/A", "15 pieces", "1_000", "--5", "5 USD EUR"]
)
def test_what_is_no_number_is_refused_with_its_value(text: str) -> None:
    assert text in str(price_of(text))


def test_a_number_of_many_digits_stays_exact() -> None:
    reader = FeedReader(PRODUCT)
    digits = "12345678901234567890,123456789012345678901"
    assert reader.fields({"price": digits})["price"] == digits.replace(",", ".")


@given(st.decimals(0, 10**9, places=2), st.sampled_from([".,", ",.", " ,", "'."]))
def test_every_price_is_read_as_it_is_written_with_signs_between_thousands(value: Decimal, signs: str) -> None:
    group, decimal = signs[0], signs[1]
    text = f"{value:,.2f}".replace(",", "G").replace(".", decimal).replace("G", group)
    assert price_of(text) == int(value * 100)
    found = feed_number(text)
    assert found is not None
    assert not found.is_ambiguous


@pytest.mark.parametrize(
    ("item", "rate", "count"),
    [
        ({"rating": "4,5", "rating_count": "1,234"}, 4.5, 1_234),
        ({"rating": "4.333"}, 4.333, None),
        ({"rating": {"rate": "N/A", "count": "342.0"}}, None, 342),
        ({"ratingRate": "4", "ratingCount": "1.234.567"}, 4.0, 1_234_567),
    ],
)
def test_ratings_are_read_alike(item: dict[str, Any], rate: float | None, count: int | None) -> None:
    found = FeedReader(PRODUCT).fields(item)
    assert (found["rating_rate"], found["rating_count"]) == (rate, count)


def test_a_count_that_may_be_two_numbers_is_refused() -> None:
    assert isinstance(FeedReader(PRODUCT).fields({"rating_count": "1,000"})["rating_count"], FieldError)
    assert FeedReader(PRODUCT, POINT).fields({"rating_count": "1,000"})["rating_count"] == 1_000
