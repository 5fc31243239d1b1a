"""The rules of a product's fields, at their edges."""

from decimal import Decimal

import pytest
from declared import PRODUCT

from afterwrite.resources.field import FieldError, FieldProblem
from afterwrite.resources.first_version import search_text


@pytest.mark.parametrize(
    ("value", "minor"),
    [
        (0, 0),
        (19.99, 1999),
        (0.29, 29),
        (-0.0, 0),
        ("19.9", 1990),
        (" 7 ", 700),
        ("1.500", 150),
        ("1e2", 10_000),
        (Decimal("99999999999.99"), 9_999_999_999_999),
        (100_000_000_000, 10_000_000_000_000),
    ],
)
def test_a_price_is_held_in_minor_units_exactly(value: object, minor: int) -> None:
    assert PRODUCT.fields["price"].check("price", value) == minor


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (1.001, FieldProblem.TOO_MANY_DECIMALS),
        ("1.00000000000000000000000000000000001", FieldProblem.TOO_MANY_DECIMALS),
        (1e-300, FieldProblem.TOO_MANY_DECIMALS),
        ("1e-400", FieldProblem.TOO_MANY_DECIMALS),
        ("1_000", FieldProblem.WRONG_TYPE),
        (-0.01, FieldProblem.OUT_OF_RANGE),
        (100_000_000_000.01, FieldProblem.OUT_OF_RANGE),
        ("1e999999", FieldProblem.OUT_OF_RANGE),
        (float("nan"), FieldProblem.NOT_FINITE),
        (float("inf"), FieldProblem.NOT_FINITE),
        ("Infinity", FieldProblem.NOT_FINITE),
        ("12,50", FieldProblem.WRONG_TYPE),
        (True, FieldProblem.WRONG_TYPE),
        ([1], FieldProblem.WRONG_TYPE),
    ],
)
def test_a_price_that_would_have_to_be_changed_is_refused(value: object, problem: FieldProblem) -> None:
    with pytest.raises(FieldError) as refused:
        PRODUCT.fields["price"].check("price", value)
    assert refused.value.problem is problem
    assert str(refused.value).startswith("price is ")


def test_an_absent_field_is_left_alone_and_null_empties_an_optional_one() -> None:
    assert PRODUCT.check_changes({"description": None, "price": 2}) == ({"price_minor": 200, "description": None}, [])
    _checked, refused = PRODUCT.check_changes({"title": None})
    assert [(error.field, error.problem) for error in refused] == [("title", FieldProblem.REQUIRED)]
    _checked, refused = PRODUCT.check_new({})
    assert [error.field for error in refused] == ["title", "price"]


def test_the_search_text_is_folded_and_keeps_the_fields_apart() -> None:
    assert search_text("Straße", None, "X") == "strasse\x1f\x1fx"
