"""Declares the GraphQL types that products and tasks share: any JSON value, large numbers, and where a page lies."""

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

_DIGITS_MAX = 300  # of a whole number in a document: more is a slip of the hand, and slow to read


class JSON(graphene.Scalar):
    """Any JSON value, as it is."""

    @staticmethod
    def serialize(value: Any) -> Any:
        """The value itself: the answer is JSON anyway."""
        return value

    @staticmethod
    def parse_value(value: Any) -> Any:
        """The value itself: variables are JSON anyway."""
        return value

    @staticmethod
    def parse_literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> Any:
        """The value of a literal; variables may stand in it, and an absent one counts as null."""
        return _value_of(node, variables or {})


class BigInt(graphene.Scalar):
    """A whole number, also one that has more than the 32 bits of Int. Variables of the type Int are taken for it."""

    @staticmethod
    def serialize(value: Any) -> Any:
        """The number itself: JSON has no limit for it."""
        return value

    @staticmethod
    def parse_value(value: Any) -> int:
        """A JSON number without a fraction, as for Int. Raises GraphQLError for everything else."""
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise GraphQLError(f"BigInt cannot represent non-integer value: {inspect(value)}")
        return int(value)

    @staticmethod
    def parse_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> int:
        """The number of a literal without a fraction. Raises GraphQLError for everything else."""
        if not isinstance(node, IntValueNode):
            raise GraphQLError(f"BigInt cannot represent non-integer value: {print_ast(node)}", node)
        return _whole_number(node)


class PageInfo(graphene.ObjectType):
    """Where a page lies."""

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
    raise GraphQLError(f"{node.kind} is no JSON value: write a text in quotes for it", node)


def _whole_number(node: IntValueNode) -> int:
    if len(node.value) > _DIGITS_MAX:
        raise GraphQLError(
            f"A number of {len(node.value):,} digits is too long: {_DIGITS_MAX} are the limit", node
        )
    return int(node.value)


def _finite_number(node: FloatValueNode) -> float:
    number = float(node.value)
    if not isfinite(number):
        raise GraphQLError(f"The number {node.value[:60]} is too large: give one that a Float can hold", node)
    return number
