"""Runs an example both compiled and through graphql-core, and insists on one result."""

from __future__ import annotations

from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from afterwrite.graphql_http.compiled import CompiledOperation

SDL = """
type Query {
  item: Item strictItem: Item! items: [Item] strictItems: [Item!]! grid: [[Int!]!] echo(
    text: String = "hi", count: Int, ids: [ID!], point: Point, color: Color = RED,
    weight: Float, flag: Boolean!): String
  need(count: Int!): Int! json: [JSON] square: Square squares: [Square]
  shape: Shape shapes: [Shape!]
}
type Item { id: ID! name: String size: Int weight: Float sold: Boolean color: Color item: Item strict: Item! }
type Mutation { add(name: String!): Item drop: Item! }
scalar JSON
enum Color { RED GREEN }
input Point { x: Int! y: Int = 3 tags: [String!] }
interface Shape { area: Float }
type Square implements Shape { area: Float side: Int! }
type Circle implements Shape { area: Float radius: Int }
"""


class PointValue(dict[str, Any]):
    """What a `Point` becomes in Python."""


def example_schema() -> GraphQLSchema:
    """The schema of the examples; what SDL cannot say of it is said here."""
    schema = build_schema(SDL)
    types: dict[str, Any] = schema.type_map
    types["Point"].out_type = PointValue
    types["Point"].fields["y"].out_name = "why"
    types["Square"].is_type_of = lambda value, info: "side" in value and info.path.typename == "Query"
    types["JSON"].serialize = {"none": None, "undefined": Undefined, "one": 1}.__getitem__
    return schema


SCHEMA = example_schema()


def compiled(source: str, schema: GraphQLSchema = SCHEMA, **options: bool) -> CompiledOperation:
    """The first operation of `source`, which must be valid."""
    document = parse(source)
    assert not validate(schema, document)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return CompiledOperation(schema, document, operation, **options)


def run(
    source: str, root: Any = None, variables: dict[str, Any] | None = None, schema: GraphQLSchema = SCHEMA
) -> dict[str, Any]:
    """The formatted result of the compiled operation, once it is found to be that of graphql-core."""
    given = variables or {}
    operation = compiled(source, schema)
    expected = execute_sync(schema, parse(source), root, {"user": 1}, given)
    for _ in range(2):
        result = operation.execute(root, {"user": 1}, given)
        assert result == expected
        assert repr(result.data) == repr(expected.data)
        assert _causes(result) == _causes(expected)
    return dict(expected.formatted)


def _causes(result: ExecutionResult) -> list[str]:
    return [repr(error.original_error) for error in result.errors or []]
