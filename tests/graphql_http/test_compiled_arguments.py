"""Examples of what variables, arguments and conditions do to a compiled operation, beside graphql-core."""

from __future__ import annotations

from typing import Any

import pytest
from compiled_comparison import compiled, run
from graphql import GraphQLResolveInfo

from afterwrite.graphql_http.compiled.operation import MAX_PLANS


def test_skip_and_include_with_literals_and_variables_give_each_request_its_own_selection() -> None:
    source = """query ($a: Boolean!, $b: Boolean = true) {
      item { id @skip(if: $a) name @include(if: $b) size @include(if: false)
        weight @skip(if: true) @include(if: $a) ...F @skip(if: $b) ... @include(if: $a) { sold }
        color @skip(if: $a) @include(if: $b) } }
      fragment F on Item { item { id @include(if: $a) name } id }"""
    root = {"item": {"id": 1, "name": "n", "sold": True, "color": "RED", "item": {"id": 2}}}
    for variables in ({"a": True}, {"a": False}, {"a": True, "b": False}, {"a": False, "b": None}, {}, {"a": 1}):
        run(source, root, variables)


def test_combinations_of_conditions_beyond_the_limit_are_left_to_graphql_core() -> None:
    names = [f"v{index}" for index in range(6)]
    head = ", ".join(f"${name}: Boolean!" for name in names)
    operation = compiled(f"query ({head}) {{ {' '.join(f'{n}: __typename @skip(if: ${n})' for n in names)} }}")
    for number in range(64):
        values = {name: bool(number >> index & 1) for index, name in enumerate(names)}
        data = operation.execute(None, None, values).data
        assert data == {name: "Query" for name in names if not values[name]}
    assert len(operation._plans) == MAX_PLANS


ARGUMENTS = """
query (
  $text: String, $count: Int = 2, $ids: [ID!], $point: Point, $color: Color, $weight: Float,
  $flag: Boolean!) {
  echo(text: $text, count: $count, ids: $ids, point: $point, color: $color, weight: $weight, flag: $flag)
  need(count: $count)
  b: echo(text: "t", count: 1, ids: ["a", 2], point: {x: 1, tags: ["z"]}, color: GREEN, flag: true)
  c: echo(text: null, count: null, ids: null, point: null, color: null, flag: $flag)
  d: echo(flag: false) e: echo(ids: 5, point: {x: $count}, flag: $flag) }"""


@pytest.mark.parametrize(
    "variables",
    [
        {"flag": True},
        {"flag": True, "text": "t", "count": 3, "ids": ["a", 1], "point": {"x": 1}, "color": "RED"},
        {"flag": False, "text": None, "count": None, "ids": None, "point": None, "color": None},
        {"flag": True, "ids": "one", "point": {"x": 1.0, "y": None, "tags": "t"}},
        {"flag": True, "point": {"y": 1}},
        {"flag": True, "point": {"x": 1, "z": 1}},
        {"flag": True, "point": {"x": None}, "ids": [None], "count": 2**31, "text": 5, "color": "BLUE"},
        {"flag": True, "ids": {"a": 1}, "point": [1], "unknown": 1},
        {"flag": True, "ids": [None]},
        {"flag": True, "ids": [1.0, 2**70, True]},
        {"flag": True, "weight": float("inf")},
        {"flag": True, "weight": 10**400},
        {"flag": True, "weight": 3, "count": 4.0, "text": ""},
        {"flag": True, "weight": True},
        {"flag": True, "point": {}},
        {"flag": True, "point": {"x": 1, "y": 2**31}},
        {"flag": "yes"},
        {"flag": None},
        {},
    ],
)
def test_arguments_come_from_literals_defaults_and_variables(variables: dict[str, Any]) -> None:
    def echo(_info: GraphQLResolveInfo, **arguments: Any) -> str:
        return f"{arguments} {type(arguments.get('point'))}"

    def need(_info: GraphQLResolveInfo, count: int) -> int:
        return count + 1

    run(ARGUMENTS, {"echo": echo, "need": need}, variables)


def test_a_resolver_that_changes_its_arguments_does_not_change_the_next_request() -> None:
    def echo(_info: GraphQLResolveInfo, ids: list[str], point: dict[str, Any], **_rest: Any) -> str:
        ids.append("more")
        point["x"] += 1
        return f"{ids} {dict(point)}"

    operation = compiled('{ echo(flag: true, ids: ["a"], point: {x: 1}) }')
    first, second = (operation.execute({"echo": echo}, None, {}) for _ in range(2))
    assert first.data == second.data == {"echo": "['a', 'more'] {'x': 2, 'why': 3}"}


def test_errors_of_variables_suggest_nothing_where_suggestions_are_hidden() -> None:
    source = "query ($point: Point) { echo(flag: true, point: $point) }"
    for hidden in (True, False):
        result = compiled(source, hide_suggestions=hidden).execute(None, None, {"point": {"x": 1, "tag": 1}})
        assert result.errors is not None
        assert ("Did you mean" in result.errors[0].message) is not hidden
