"""Where a variable may stand: as the specification says, and an Int where a scalar for larger integers is expected."""

import pytest
from graphql import build_schema, parse, validate

from afterwrite.graphql_http.wider_scalars import read_as_wider_scalars

SCHEMA = build_schema(
    """
    scalar BigInt
    scalar Other
    input Range { least: BigInt! most: BigInt = 9 }
    input Either @oneOf { number: BigInt text: String }
    type Query {
      one(number: BigInt!, maybe: BigInt, other: Other, whole: Int,
        many: [[BigInt!]!], range: Range, either: Either): Int
    }
    """
)


def refusals(document: str) -> list[str]:
    """What validation says about a document."""
    syntax = parse(document)
    read_as_wider_scalars(SCHEMA, syntax)
    return [error.message for error in validate(SCHEMA, syntax)]


@pytest.mark.parametrize(
    "document",
    [
        "query ($a: Int!) { one(number: $a, maybe: $a) }",
        "query ($a: Int = 3) { one(number: $a, maybe: $a) }",
        "query ($a: Int) { one(number: 1, maybe: $a) }",
        "query ($a: BigInt!) { one(number: $a) }",
        "query ($a: [[Int!]!]!) { one(number: 1, many: $a) }",
        "query ($a: Int!) { one(number: 1, many: [[$a]], range: {least: $a, most: $a}, either: {number: $a}) }",
        "query ($a: Int!) { ...Rest } fragment Rest on Query { one(number: $a) }",
    ],
)
def test_an_int_may_stand_where_a_larger_integer_is_expected(document: str) -> None:
    assert refusals(document) == []


@pytest.mark.parametrize(
    ("declared", "refused"),
    [
        ("$a: Int) { one(number: $a)", "'Int' used in position expecting type 'BigInt!'"),
        ("$a: String!) { one(number: $a)", "'String!' used in position expecting type 'BigInt!'"),
        ("$a: BigInt) { one(number: 1, whole: $a)", "'BigInt' used in position expecting type 'Int'"),
        ("$a: Int) { one(number: 1, other: $a)", "'Int' used in position expecting type 'Other'"),
        ("$a: Int!) { one(number: $a, whole: $a)", "'Int!' used in position expecting type 'BigInt!'"),
        ("$a: [Int]) { one(number: 1, maybe: $a)", "'[Int]' used in position expecting type 'BigInt'"),
        ("$a: [[Int]!]) { one(number: 1, many: $a)", "'[[Int]!]' used in position expecting type '[[BigInt!]!]'"),
        ("$a: Int) { one(number: 1, either: {number: $a})", "must be non-nullable to be used for OneOf"),
    ],
)
def test_nothing_else_may_stand_there(declared: str, refused: str) -> None:
    (message,) = refusals(f"query ({declared} }}")
    assert refused in message
