"""Coerces a literal once for all requests if they can share its value."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputType,
    GraphQLScalarType,
    NullValueNode,
    Undefined,
    ValueNode,
    is_non_null_type,
    is_specified_scalar_type,
    value_from_ast,
)


class NeedsGraphQLCore(Exception):
    """The value is wrong or not of the plainest form: graphql-core must coerce or refuse it."""


def constant_of(node: ValueNode, input_type: GraphQLInputType) -> Any:
    """The value of a literal that is null, an enum value or of a scalar of the specification.

    Raises `NeedsGraphQLCore` for a literal that does not fit its type, and for lists, dicts and custom scalars: one
    request's resolver could change them under another.
    """
    inner: Any = input_type.of_type if is_non_null_type(input_type) else input_type  # type: ignore[union-attr]
    is_scalar = isinstance(inner, GraphQLScalarType) and is_specified_scalar_type(inner)
    if not (is_scalar or isinstance(inner, GraphQLEnumType) or isinstance(node, NullValueNode)):
        raise NeedsGraphQLCore
    value = value_from_ast(node, input_type)
    if value is Undefined:
        raise NeedsGraphQLCore
    return value
