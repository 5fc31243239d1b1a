"""Compares compiled operations with graphql-core's `execute` on random operations and misbehaving objects."""

from __future__ import annotations

from typing import Any

import pytest
from compiled_operations import Case, operations
from compiled_schemas import SCHEMAS
from compiled_world import World
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    parse,
    validate,
)
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from afterwrite.graphql_http.compiled import CompiledOperation
from afterwrite.graphql_http.wider_scalars import read_as_wider_scalars


def outcome(execute: Any) -> Any:
    """Everything that a client or a log can see of an execution, or what it raised."""
    try:
        result: ExecutionResult = execute()
    except Exception as error:  # noqa: BLE001 - what graphql-core raises, the compiled operation has to raise
        return type(error), str(error)
    errors = [
        (error.formatted, list(map(id, error.nodes or [])), error.positions, repr(error.original_error))
        for error in result.errors or []
    ]
    return repr(result.data), errors, result.errors is None


def is_valid(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Tells whether graphql-core would execute `document`."""
    try:
        return not validate(schema, document)
    except GraphQLError:  # its rule for subscriptions raises where a variable decides about the root field
        return False


def assert_same(schema: GraphQLSchema, document: DocumentNode, case: Case, seed: int, trouble: int) -> None:
    """Asserts that both executors give the same outcome, for each set of variables, twice over."""
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    compiled = CompiledOperation(schema, document, operation)
    for variables in [*case.variables, *case.variables]:
        world = World(schema, seed, trouble)
        expected = outcome(lambda: execute_sync(schema, document, "root", world, variables))  # noqa: B023
        found = outcome(lambda: compiled.execute("root", world, variables))  # noqa: B023
        assert found == expected


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), seed=st.integers(0, 1000), trouble=st.sampled_from([0, 3, 15]))
def test_a_compiled_operation_does_what_graphql_core_does(
    name: str, data: st.DataObject, seed: int, trouble: int
) -> None:
    schema = SCHEMAS[name]
    case = data.draw(operations(schema))
    document = parse(case.source)
    read_as_wider_scalars(schema, document)
    valid = is_valid(schema, document)
    event(f"valid: {valid}")
    assume(valid)
    assert_same(schema, document, case, seed, trouble)
