"""Variables declared as Int or String where the schema expects an ID: what they may be, and what a resolver gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    execute_sync,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    print_ast,
)

from afterwrite.graphql_http import Limits
from afterwrite.graphql_http.documents import DocumentStore
from afterwrite.graphql_http.errors import GraphQLRefusal
from afterwrite.graphql_http.streams import subscribe
from app import application

SCHEMA = build_schema("""
type Query {
  needed(id: ID!): String optional(id: ID): String fallback(id: ID! = "7"): String
  many(ids: [ID!]!): String filtered(filter: Filter): String number(n: Int, text: String, price: Float): String
}
type Mutation { change(id: ID!): String }
type Subscription { watch(id: ID!): String }
input Filter { id: ID! ids: [ID] inner: Filter }
""")
STORE = DocumentStore(SCHEMA, Limits())

OURS = application.schema
OUR_STORE = DocumentStore(OURS, Limits())
ROOTS = {
    kind.name: word
    for kind, word in (
        (OURS.query_type, "query"),
        (OURS.mutation_type, "mutation"),
        (OURS.subscription_type, "subscription"),
    )
    if kind is not None
}


def _arguments(_root: Any, _info: Any, **arguments: Any) -> str:
    return repr(arguments)


def _watch(_root: Any, _info: Any, **arguments: Any) -> list[str]:
    return [repr(arguments)]


for root in (SCHEMA.query_type, SCHEMA.mutation_type):
    assert root is not None
    for field in root.fields.values():
        field.resolve = _arguments
assert SCHEMA.subscription_type is not None
SCHEMA.subscription_type.fields["watch"].subscribe = _watch


def answer(source: str, variables: dict[str, Any]) -> Any:
    """The data of a document without errors, executed compiled and by graphql-core: both must say the same."""
    operation = STORE.get(source).operation(None)
    found = operation.executable.execute(None, None, variables)
    document = operation.executable.document
    assert found == execute_sync(SCHEMA, document, None, None, variables)
    assert found.errors is None, found.errors
    return found.data


@pytest.mark.parametrize(
    ("source", "variables", "arguments"),
    [
        ("query ($v: Int!) { a: needed(id: $v) }", {"v": 22}, "{'id': '22'}"),
        ("query ($v: String!) { a: needed(id: $v) }", {"v": "22"}, "{'id': '22'}"),
        ("query ($v: Int!) { a: needed(id: $v) }", {"v": 2**40}, "{'id': '1099511627776'}"),
        ("query ($v: Int!) { a: needed(id: $v) }", {"v": 2**60}, "{'id': '1152921504606846976'}"),
        ("query ($v: Int = 5) { a: needed(id: $v) }", {}, "{'id': '5'}"),
        ('query ($v: String = "5") { a: needed(id: $v) }', {}, "{'id': '5'}"),
        ("query ($v: Int) { a: optional(id: $v) }", {"v": None}, "{'id': None}"),
        ("query ($v: Int) { a: optional(id: $v) }", {}, "{}"),
        ("query ($v: String) { a: fallback(id: $v) }", {}, "{'id': '7'}"),
        ("query ($v: [Int!]!) { a: many(ids: $v) }", {"v": [1, 2]}, "{'ids': ['1', '2']}"),
        ("query ($v: Int!) { a: many(ids: [$v, 3]) }", {"v": 1}, "{'ids': ['1', '3']}"),
        ("query ($v: Int!) { a: filtered(filter: {id: $v}) }", {"v": 1}, "{'filter': {'id': '1'}}"),
        (
            "query ($v: [Int]) { a: filtered(filter: {id: 2, inner: {id: 3, ids: $v}}) }",
            {"v": [1, None]},
            "{'filter': {'id': '2', 'inner': {'id': '3', 'ids': ['1', None]}}}",
        ),
        ("query ($v: Int!) { ...F } fragment F on Query { a: needed(id: $v) }", {"v": 1}, "{'id': '1'}"),
        (
            "query ($v: Int!, $on: Boolean!) { a: needed(id: $v) b: __typename @skip(if: $on) }",
            {"v": 1, "on": True},
            "{'id': '1'}",
        ),
        ("mutation ($v: Int!) { a: change(id: $v) }", {"v": 1}, "{'id': '1'}"),
    ],
)
def test_a_resolver_gets_the_id_as_text(source: str, variables: dict[str, Any], arguments: str) -> None:
    assert answer(source, variables)["a"] == arguments


def test_a_subscription_gets_the_id_as_text() -> None:
    operation = STORE.get("subscription ($v: Int!) { watch(id: $v) }").operation(None)
    events = subscribe(operation, None, {"v": 22}).events
    assert isinstance(events, Iterator)
    assert list(events) == ["{'id': '22'}"]


def test_each_operation_of_a_document_declares_its_own_variables() -> None:
    document = STORE.get(
        "query A($v: Int!) { ...F } query B($v: ID!) { ...F } query C($v: Int!) { number(n: $v) }"
        " fragment F on Query { needed(id: $v) }"
    )
    for name, text in (("A", "{'id': '1'}"), ("B", "{'id': '1'}")):
        assert document.operation(name).executable.execute(None, None, {"v": 1}).data == {"needed": text}
    assert document.operation("C").executable.execute(None, None, {"v": 1}).data == {"number": "{'n': 1}"}


@pytest.mark.parametrize("value", [1.5, True, [1], {"id": 1}, None])
def test_a_value_that_is_no_id_is_refused(value: Any) -> None:
    operation = STORE.get("query ($v: Int!) { needed(id: $v) }").operation(None)
    errors = operation.executable.execute(None, None, {"v": value}).errors
    assert errors is not None
    assert "'$v'" in errors[0].message


@pytest.mark.parametrize(
    ("source", "declared", "expected"),
    [
        ("query ($v: Float!) { needed(id: $v) }", "Float!", "ID!"),
        ("query ($v: Boolean!) { needed(id: $v) }", "Boolean!", "ID!"),
        ("query ($v: Int) { needed(id: $v) }", "Int", "ID!"),
        ("query ($v: String) { change: needed(id: $v) }", "String", "ID!"),
        ("query ($v: [Int]!) { many(ids: $v) }", "[Int]!", "[ID!]!"),
        ("query ($v: Int!) { many(ids: $v) }", "Int!", "[ID!]!"),
        ("query ($v: [Int!]!) { needed(id: $v) }", "[Int!]!", "ID!"),
        ("query ($v: Int!) { needed(id: $v) number(n: $v) }", "Int!", "ID!"),
        ("query ($v: ID!) { number(text: $v) }", "ID!", "String"),
        ("query ($v: Int!) { number(text: $v) }", "Int!", "String"),
        ("query ($v: Int = null) { needed(id: $v) }", "Int", "ID!"),
    ],
)
def test_what_does_not_fit_an_id_is_refused_with_the_type_that_was_sent(
    source: str, declared: str, expected: str
) -> None:
    with pytest.raises(GraphQLRefusal, match=r"used in position expecting") as refused:
        STORE.get(source)
    assert str(refused.value) == f"Variable '$v' of type '{declared}' used in position expecting type '{expected}'."


def fields_of(kind: object) -> dict[str, GraphQLField]:
    """The fields of a type that may have arguments."""
    return kind.fields if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) else {}


def id_arguments() -> list[tuple[str, str, str]]:
    """The type, field and argument of every argument of our schema that is an ID, or a list of them."""
    return [
        (kind.name, name, argument)
        for kind in OURS.type_map.values()
        for name, field in fields_of(kind).items()
        for argument, given in field.args.items()
        if get_named_type(given.type).name == "ID"
    ]


def id_inputs() -> Iterator[str]:
    """The input fields of our schema that are IDs."""
    for kind in OURS.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            fields = kind.fields.items()
            yield from (f"{kind.name}.{name}" for name, of in fields if get_named_type(of.type).name == "ID")


def test_every_id_of_our_schema_is_an_argument_of_a_root_field() -> None:
    """Those are walked below; one in another place needs a document of its own there."""
    assert {kind for kind, _field, _argument in id_arguments()} == set(ROOTS)
    assert list(id_inputs()) == ["ProductChange.productId"]


@pytest.mark.parametrize("declared", ["Int", "String", "ID"])
def test_an_id_in_an_input_of_our_schema_takes_an_int_and_a_string(declared: str) -> None:
    document = OUR_STORE.get(
        f"mutation ($id: {declared}!) {{ updateProducts(products: [{{productId: $id, price: 1}}]) {{ success }} }}"
    )
    [read] = document.operation(None).definition.variable_definitions
    assert print_ast(read.type) == "ID!"  # a resolver gets text


@pytest.mark.parametrize("declared", ["Int", "String"])
@pytest.mark.parametrize(("kind", "name", "argument"), id_arguments())
def test_every_id_argument_of_our_schema_takes_an_int_and_a_string(
    kind: str, name: str, argument: str, declared: str
) -> None:
    field = fields_of(OURS.type_map[kind])[name]
    needed = {
        other: str(given.type)
        for other, given in field.args.items()
        if other != argument and is_required_argument(given)
    }
    expected = f"{str(field.args[argument].type).removesuffix('!')}!"
    types = needed | {argument: expected.replace("ID", declared)}
    variables = ", ".join(f"${other}: {of}" for other, of in types.items())
    arguments = ", ".join(f"{other}: ${other}" for other in types)
    selected = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
    document = OUR_STORE.get(f"{ROOTS[kind]} ({variables}) {{ {name}({arguments}) {selected} }}")
    read = document.operation(None).definition.variable_definitions
    assert print_ast(read[-1].type) == expected  # a resolver gets text
