"""Shared GraphQL types: the scalars JSON and BigInt, and PageInfo."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import graphene
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    print_ast,
)
from graphql.pyutils import inspect

_DIGITS_MAX = 300  # of an integer literal; more is a mistake, and slow to parse


class JSON(graphene.Scalar):
    """Any JSON value."""

    @staticmethod
    def serialize(value: Any) -> Any:
        """The value itself: the response is JSON anyway."""
        return value

    @staticmethod
    def parse_value(value: Any) -> Any:
        """The value itself: variables are JSON anyway."""
        return value

    @staticmethod
    def parse_literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> Any:
        """The value of a literal; it may contain variables, and an absent one is null."""
        return _value_of(node, variables or {})


class BigInt(graphene.Scalar):
    """An integer, also of more than 32 bits. Accepts variables of the type Int."""

    @staticmethod
    def serialize(value: Any) -> Any:
        """The number itself: JSON has no limit for it."""
        return value

    @staticmethod
    def parse_value(value: Any) -> int:
        """The integer of a JSON number without a fraction. Raises GraphQLError for anything else."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise GraphQLError(f"BigInt cannot represent non-integer value: {inspect(value)}")
        return int(value)

    @staticmethod
    def parse_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> int:
        """The integer of a literal without a fraction. Raises GraphQLError for anything else."""
        if not isinstance(node, IntValueNode):
            raise GraphQLError(f"BigInt cannot represent non-integer value: {print_ast(node)}", node)
        return _whole_number(node)


class PageInfo(graphene.ObjectType):
    """The position of a page in its list."""

    has_next_page = graphene.Boolean(required=True)
    has_previous_page = graphene.Boolean(required=True)
    start_cursor = graphene.String()
    end_cursor = graphene.String()


def _value_of(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    match node:
        case NullValueNode():
            return None
        case StringValueNode() | BooleanValueNode():
            return node.value
        case IntValueNode():
            return _whole_number(node)
        case FloatValueNode():
            return _finite_number(node)
        case ListValueNode():
            return [_value_of(item, variables) for item in node.values]
        case ObjectValueNode():
            return {field.name.value: _value_of(field.value, variables) for field in node.fields}
        case VariableNode():
            return variables.get(node.name.value)
    raise GraphQLError(f"{node.kind} is not a JSON value: write it as a quoted string", node)


def _whole_number(node: IntValueNode) -> int:
    if len(node.value) > _DIGITS_MAX:
        raise GraphQLError(f"A number of {len(node.value):,} digits is too long: {_DIGITS_MAX} are the limit", node)
    return int(node.value)


def _finite_number(node: FloatValueNode) -> float:
    number = float(node.value)
    if not isfinite(number):
        raise GraphQLError(f"The number {node.value[:60]} is too large: give one that a Float can hold", node)
    return number
