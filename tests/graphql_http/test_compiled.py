"""Examples of what a compiled operation promises, each beside graphql-core's own answer."""

# mypy: allow-subclassing-any

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import graphene
import pytest
from compiled_comparison import SCHEMA, compiled, run
from compiled_schemas import SCHEMAS
from compiled_world import World
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    execute_sync,
    get_introspection_query,
    parse,
)

from afterwrite.graphql_http.compiled import CompiledOperation


def boom(*_arguments: Any, **_named: Any) -> Any:
    """A resolver that fails."""
    raise ValueError("boom")


@pytest.mark.parametrize(
    "source",
    ["{ item { id } }", "{ strictItem { id name } }", "{ items { id } }", "{ strictItems { name id } item { id } }"],
)
@pytest.mark.parametrize("identity", [None, 1, 1.5, [], boom, ValueError("returned"), GraphQLError("refused")])
def test_a_null_travels_up_to_the_nearest_place_that_may_be_null(source: str, identity: Any) -> None:
    item = {"id": identity, "name": "n"}
    fine = {"id": 2, "name": "m"}
    run(source, {"item": item, "strictItem": item, "items": [fine, item], "strictItems": [fine, item]})


@pytest.mark.parametrize("value", [None, [], [[1], [2, 3]], [[1, None]], [None, [1]], 5, "text", {}, ([1],), [["x"]]])
def test_nested_lists_keep_their_shape_and_locate_their_errors(value: Any) -> None:
    run("{ grid }", {"grid": value})


def test_an_error_inside_of_nested_lists_has_its_whole_path() -> None:
    result = run("{ grid }", {"grid": [[1], [2, "x"]]})
    assert result["errors"][0]["path"] == ["grid", 1, 1]
    assert result["data"] == {"grid": None}


@pytest.mark.parametrize("field", ["name", "size", "weight", "sold", "color", "id"])
@pytest.mark.parametrize(
    "value",
    [None, "", "5", "RED", 0, 7, 2**31, -(2**31), 2.0, 2.5, True, float("inf"), b"x", [], {}, object, ValueError("v")],
)
def test_leaves_are_serialised_or_refused_as_the_specification_says(field: str, value: Any) -> None:
    run(
        f"{{ item {{ {field} strict {{ {field} id }} }} }}", {"item": {field: value, "strict": {"id": 1, field: value}}}
    )


def test_subclasses_of_str_and_int_are_left_to_the_scalar() -> None:
    class Name(str):
        __slots__ = ()

    run("{ item { id name size } }", {"item": {"id": Name("a"), "name": Name("b"), "size": True}})


@pytest.mark.parametrize("value", ["one", "none", "undefined", "missing", None, [], ValueError("v")])
def test_a_custom_scalar_must_serialise_to_something(value: Any) -> None:
    run("{ json }", {"json": ["one", value, "one"]})


@pytest.mark.parametrize("value", [None, {"side": 1}, {"area": 1}, 5, ValueError("v")])
def test_a_value_that_is_not_of_its_type_is_refused(value: Any) -> None:
    run("{ square { side } squares { area side } }", {"square": value, "squares": [{"side": 2}, value]})


def test_a_field_of_a_shared_fragment_keeps_apart_what_else_is_merged_into_it() -> None:
    source = """{ a: item { ...F } b: item { ...F item { size } } c: item { ...F } }
    fragment F on Item { item { id } }"""
    result = run(source, {"a": 1, "item": {"item": {"id": 1, "size": 2}}})
    assert result["data"]["b"] == {"item": {"id": "1", "size": 2}}
    assert result["data"]["a"] == result["data"]["c"] == {"item": {"id": "1"}}


def test_selections_of_one_field_are_merged_in_the_order_of_their_first_mention() -> None:
    result = run(
        """{ item { id ...A item { name } other: name } ...B item { size item { id size } } }
        fragment A on Item { size name item { id } } fragment B on Query { item { weight ...A sold } }""",
        {"item": {"id": 1, "size": 2, "weight": 3.0, "item": {"id": 4, "size": 5}}},
    )
    assert list(result["data"]["item"]) == ["id", "size", "name", "item", "other", "weight", "sold"]


def test_interfaces_are_completed_by_the_type_of_each_object() -> None:
    source = """{ shapes { __typename area ... on Square { side } ...C }
      shape { area ... on Circle { radius } } }
    fragment C on Circle { radius area }"""
    square, circle = {"__typename": "Square", "side": 2, "area": 4}, {"__typename": "Circle", "radius": 1}
    run(source, {"shapes": [square, circle, square], "shape": circle})
    for wrong in ({}, {"__typename": "Item"}, {"__typename": "Nope"}, {"__typename": "Shape"}, 5, None, boom):
        run(source, {"shapes": [square, wrong], "shape": wrong})


def test_mutations_run_in_the_order_of_the_document_and_keep_going_after_an_error() -> None:
    names: list[str] = []

    def add(_info: GraphQLResolveInfo, name: str) -> dict[str, Any]:
        names.append(name)
        if name == "bad":
            raise ValueError(name)
        return {"id": name}

    operation = compiled('mutation { b: add(name: "b") { id } x: add(name: "bad") { id } a: add(name: "a") { id } }')
    result = operation.execute({"add": add}, None, {})
    assert names == ["b", "bad", "a"]
    assert result.data == {"b": {"id": "b"}, "x": None, "a": {"id": "a"}}


def test_the_other_operations_and_unused_fragments_of_a_document_do_not_matter() -> None:
    document = parse("query A { item { id } } query B($s: Boolean!) { item { ...F } } fragment F on Item { name }")
    for definition, data in zip(document.definitions, ({"id": "1"}, {"name": "n"}), strict=False):
        assert isinstance(definition, OperationDefinitionNode)
        operation = CompiledOperation(SCHEMA, document, definition)
        assert operation.execute({"item": {"id": 1, "name": "n"}}, None, {"s": True}).data == {"item": data}


@pytest.mark.parametrize("name", SCHEMAS)
def test_introspection_gives_what_graphql_core_gives(name: str) -> None:
    run(get_introspection_query(input_value_deprecation=True, directive_is_repeatable=True), schema=SCHEMAS[name])


def test_custom_directives_change_nothing() -> None:
    world = World(SCHEMAS["graphql-core"], 1, 0)
    source = '{ user @mark(note: "n") { id ...F @mark } } fragment F on User { age @mark }'
    operation = compiled(source, world.schema)
    assert operation.execute(None, world, {}) == execute_sync(world.schema, parse(source), None, world)


def test_a_subscription_without_a_plan_is_executed_like_a_query() -> None:
    world = World(SCHEMAS["graphql-core"], 1, 0)
    operation = compiled("subscription { ticks }", world.schema)
    assert operation.execute(None, world, {}) == execute_sync(
        world.schema, parse("subscription { ticks }"), None, world
    )


def test_fragments_that_spread_each_other_in_a_diamond_are_compiled_once() -> None:
    levels = 60
    fragments = [
        f"fragment F{level} on Item {{ item {{ ...F{level + 1} }} strict {{ ...F{level + 1} }} }}"
        for level in range(levels)
    ]
    source = "\n".join(["{ item { ...F0 } }", *fragments, f"fragment F{levels} on Item {{ id }}"])
    item: dict[str, Any] = {"id": 1}
    for _ in range(levels):
        item = {"item": item, "strict": {"id": 0}}
    document = parse(source)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    result = CompiledOperation(SCHEMA, document, operation).execute({"item": item}, None, {})
    assert result == execute_sync(SCHEMA, document, {"item": item})


class Inner(graphene.ObjectType):
    """Read by Graphene's default resolver."""

    first_name = graphene.String(default_value="nobody")
    count = graphene.Int(required=True)


class Outer(graphene.ObjectType):
    """Has a default resolver of each kind."""

    inner = graphene.Field(Inner)
    renamed = graphene.String(source="secret")
    method = graphene.String(name="called")

    def resolve_method(self, info: GraphQLResolveInfo) -> str:
        return f"{info.path.as_list()} {info.context}"


class Property:
    """An object with a property that fails."""

    first_name = "ada"

    @property
    def count(self) -> int:
        raise ValueError("no count")


@pytest.mark.parametrize("inner", [None, Inner(count=1), {"count": 2}, {"first_name": 5}, Property(), object(), 7])
def test_graphene_fields_are_read_from_attributes_keys_and_defaults(inner: Any) -> None:
    class Query(graphene.ObjectType):
        outer = graphene.List(Outer)

    schema = graphene.Schema(query=Query).graphql_schema
    root = {"outer": [{"inner": inner, "secret": "s"}, Outer(inner=inner)]}
    run("{ outer { inner { firstName count } renamed called } }", root, schema=schema)


def test_arguments_that_graphenes_own_resolver_ignores_are_still_checked() -> None:
    class Query(graphene.ObjectType):
        plain = graphene.String(unused=graphene.Int(required=True))

    schema = graphene.Schema(query=Query).graphql_schema
    for variables in ({}, {"n": 1}, {"n": None}):
        run("query ($n: Int = 2) { plain(unused: $n) }", {"plain": "p"}, variables, schema)


def test_one_compiled_operation_serves_many_threads_at_once() -> None:
    operation = compiled(
        """query ($t: String, $s: Boolean!) {
          echo(text: $t, flag: $s) @skip(if: $s) item { id strict { id } } }"""
    )
    barrier = threading.Barrier(8)

    def echo(_info: GraphQLResolveInfo, text: str, **_rest: Any) -> str:
        return text

    def work(number: int) -> list[ExecutionResult]:
        barrier.wait(timeout=10)
        root = {"echo": echo, "item": {"id": number, "strict": None if number % 2 else {"id": 0}}}
        return [operation.execute(root, None, {"t": str(number), "s": number > 5}) for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        for number, results in enumerate(pool.map(work, range(8))):
            item = None if number % 2 else {"id": str(number), "strict": {"id": "0"}}
            echoed = {} if number > 5 else {"echo": str(number)}
            assert [result.data for result in results] == [{**echoed, "item": item}] * 200
            assert [len(result.errors or []) for result in results] == [number % 2] * 200
