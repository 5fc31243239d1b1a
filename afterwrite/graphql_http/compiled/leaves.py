"""Compiles the serialisation of a scalar or enum, with a fast path for values of the expected Python type."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType, Undefined
from graphql.pyutils import inspect
from graphql.type.scalars import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    serialize_boolean,
    serialize_float,
    serialize_id,
    serialize_int,
    serialize_string,
)

CompleteLeaf = Callable[[Any], Any]
"""Serialises a value; None stays None. Raises what the type's `serialize` raises."""


class NoType:
    """A type without instances, for leaves whose values all need completing."""


def compile_leaf(leaf_type: GraphQLLeafType) -> tuple[CompleteLeaf, type]:
    """Returns the function that completes a value of `leaf_type`, and the Python type whose values need none."""
    complete = _serializing(leaf_type)
    serialize = leaf_type.serialize
    if serialize is serialize_string:
        return complete, str
    if serialize is serialize_boolean:
        return complete, bool
    if serialize is serialize_id:
        return lambda value: str(value) if type(value) is int else complete(value), str
    if serialize is serialize_int:
        lowest, highest = GRAPHQL_MIN_INT, GRAPHQL_MAX_INT
        return lambda value: value if type(value) is int and lowest <= value <= highest else complete(value), NoType
    if serialize is serialize_float:
        return lambda value: value if type(value) is float and isfinite(value) else complete(value), NoType
    if isinstance(leaf_type, GraphQLEnumType):
        return _complete_enum(complete), NoType
    return complete, NoType


def _serializing(leaf_type: GraphQLLeafType) -> CompleteLeaf:
    serialize = leaf_type.serialize

    def complete(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Exception):
            raise value
        serialized = serialize(value)
        if serialized is None or serialized is Undefined:
            raise TypeError(
                f"Expected `{inspect(leaf_type)}.serialize({inspect(value)})`"
                f" to return non-nullable value, returned: {inspect(serialized)}"
            )
        return serialized

    return complete


def _complete_enum(otherwise: CompleteLeaf) -> CompleteLeaf:
    """Caches the names of string values: Graphene searches its enum for each."""
    names: dict[str, Any] = {}

    def complete(value: Any) -> Any:
        if type(value) is not str:
            return otherwise(value)
        name = names.get(value)
        if name is None:
            name = names[value] = otherwise(value)
        return name

    return complete
