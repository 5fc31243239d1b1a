"""Compares parsing and validation with graphql-core's `parse` and `validate`: the same trees, the same errors."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compiled_operations import operations
from compiled_schemas import SCHEMAS
from graphql import (
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    build_schema,
    get_introspection_query,
    parse,
    specified_rules,
    validate,
)
from graphql_http_site import SCHEMA
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from afterwrite.graphql_http import Limits
from afterwrite.graphql_http.documents import DocumentStore
from afterwrite.graphql_http.errors import GraphQLRefusal
from afterwrite.graphql_http.parsing import parse_document
from afterwrite.graphql_http.validation import Validator

ALL_SCHEMAS = {**SCHEMAS, "site": SCHEMA.graphql_schema}
RULES = [*specified_rules, NoSchemaIntrospectionCustomRule]
PIECES = Path(__file__).with_name("graphql_http_pieces.txt").read_text(encoding="utf-8").split()
SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
_TOKEN = re.compile(r'"""|"[^"]*"|\w+|\.\.\.|\S')


def _outcome(work: Callable[[], list[GraphQLError]]) -> Any:
    """Everything that can be seen of the errors, or of what was raised instead."""
    try:
        errors = work()
    except GraphQLError as error:
        return "raised", error.formatted
    return [(error.formatted, list(map(id, error.nodes or ())), error.positions, repr(error)) for error in errors]


def assert_same_errors(schema: GraphQLSchema, source: str) -> list[str]:
    """Asserts that `source`, if it parses, has graphql-core's errors; returns their messages."""
    try:
        document = parse(source)
    except GraphQLSyntaxError:
        return ["syntax"]
    for max_errors, hide in ((100, False), (1, True)):
        expected = _outcome(lambda: validate(schema, document, RULES, max_errors, hide_suggestions=hide))  # noqa: B023
        validator = Validator(schema, RULES, max_errors=max_errors, hide_suggestions=hide)
        assert _outcome(lambda: validator.errors(document)) == expected  # noqa: B023
    return [entry[0]["message"] for entry in expected if entry != "raised" and isinstance(entry, tuple)]


def _changed(data: st.DataObject, source: str) -> str:
    """Repeats, drops and replaces some tokens of a document."""
    tokens = _TOKEN.findall(source)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        other = data.draw(st.sampled_from([*tokens, *PIECES, ""]))
        tokens[at : at + 1] = data.draw(st.sampled_from([[other], [tokens[at], other], [tokens[at]] * 2]))
    return " ".join(tokens)


@pytest.mark.parametrize("name", ALL_SCHEMAS)
@SETTINGS
@given(data=st.data())
def test_random_documents_have_the_errors_of_graphql_core(name: str, data: st.DataObject) -> None:
    written_for = data.draw(st.sampled_from(sorted(SCHEMAS)))
    source = _changed(data, data.draw(operations(SCHEMAS[written_for])).source)
    errors = assert_same_errors(ALL_SCHEMAS[name], source)
    event(f"errors: {min(len(errors), 3)}")


@pytest.mark.parametrize("name", ALL_SCHEMAS)
@SETTINGS
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
def test_pieces_of_documents_have_the_errors_of_graphql_core(name: str, pieces: list[str]) -> None:
    assert_same_errors(ALL_SCHEMAS[name], " ".join(pieces))


@pytest.mark.parametrize(
    "source",
    [
        get_introspection_query(input_value_deprecation=True),
        "type A { b: String } { name }",
        "extend schema @a { query: Query } query A { name } query A { name }",
        "fragment F on User { ...F } { user { ...F ...Nowhere } }",
        "fragment F on User { ...G } fragment G on Nowhere { id } fragment G on Dog { id } { user { ...F } }",
        "query Q($a: Int, $a: Nowhere, $b: User) @skip(if: $a) @skip(if: true) @nowhere(x: 1) { count(first: $z) }",
        "{ count(first: 1, first: 2, second: 3) count(first: 4) user user { id { x } } nothing }",
        '{ user { find(filter: {text: 1, text: "", min: {}, point: {y: [1]}, zz: $v}, either: {id: 1, name: null}) } }',
        "{ user { ... on Dog { id } ... on Role { id } ... @include(if: 1) { id @skip } } }",
        "subscription { ticks user { id } }",
        "subscription($a: Boolean!) { ticks @skip(if: $a) }",
        '"A text" query ("of a variable" $a: Int) { count(first: $a) }',
        "{ " + "... { " * 190 + "name" + " }" * 191,
        "{ user " + "{ self " * 150 + "{ id }" + " }" * 151,
        "{ user { ...F0 } } "
        + " ".join(f"fragment F{n} on User {{ self {{ ...F{n + 1} }} }}" for n in range(150))
        + " fragment F150 on User { id }",
        "{ user { find(blob: " + "[" * 190 + "]" * 190 + ") } }",
        "{ " + " ".join(f"x{n}" for n in range(150)) + " }",
        "{ users { " + " ".join(f"...F{n}" for n in range(30)) + " } } "
        + " ".join(f"fragment F{n} on User {{ a: {name} }}" for n, name in enumerate(["id", "name"] * 15)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", SCHEMAS)
def test_documents_of_every_kind_have_the_errors_of_graphql_core(name: str, source: str) -> None:
    assert_same_errors(SCHEMAS[name], source)


def test_an_invalid_schema_is_refused_as_by_graphql_core() -> None:
    schema = build_schema("type NotTheQuery { a: Int }")
    document = parse("{ a }")
    with pytest.raises(TypeError, match="Query root type must be provided"):
        validate(schema, document)
    with pytest.raises(TypeError, match="Query root type must be provided"):
        Validator(schema, specified_rules).errors(document)


@SETTINGS
@given(pieces=st.lists(st.sampled_from([*PIECES, "\n", "\r\n", "# é\r", '"""a\n b"""', "\ufeff"]), max_size=30))
def test_a_tree_and_a_syntax_error_are_those_of_graphql_core(pieces: list[str]) -> None:
    source = " ".join(pieces)

    def tree(read: Callable[..., Any]) -> Any:
        try:
            return read(source, max_lexical_tokens=20, max_comments=2).to_dict(locations=True)
        except GraphQLSyntaxError as error:
            return error.formatted

    assert tree(parse_document) == tree(parse)


@pytest.mark.parametrize(
    "query",
    [
        "query Q($n: Int) { items(first: $n) { id ...F } } fragment F on Item { name } # a comment",
        "{ hello",
        "{ nothing items { id { x } } }",
        "{ ...F } fragment F on Query { ...F }",
    ],
)
def test_a_document_that_is_not_kept_leaves_nothing_for_the_garbage_collector(query: str) -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits(document_cache_size=1))

    def send(number: int) -> None:
        try:
            operation = store.get(f"{query} # {number}").operation(None)
        except GraphQLRefusal:
            return
        operation.executable.execute(None, None, {})

    send(1)  # what is made once
    gc.collect()
    gc.disable()
    try:
        for number in range(2, 9):
            send(number)
        assert gc.collect() == 0
    finally:
        gc.enable()
