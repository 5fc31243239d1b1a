"""Accepts variables of a built-in type where a wider scalar is expected, so that older documents stay valid.

The specification allows a variable only where its own type is expected, although the wider scalar takes every value of
the narrower one: https://spec.graphql.org/draft/#sec-All-Variable-Usages-Are-Allowed.
"""

from collections.abc import Mapping
from typing import Any, cast

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLType,
    OperationDefinitionNode,
    VariableDefinitionNode,
    get_named_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_nullable_type,
    type_from_ast,
)
from graphql.validation import VariablesInAllowedPositionRule
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage
from graphql.validation.validation_context import VariableUsage

# The scalars that take every value of a built-in type just as its variables hold it.
_WIDER: Mapping[str, frozenset[str]] = {"Int": frozenset({"BigInt"})}


class VariablePositionsRule(VariablesInAllowedPositionRule):
    """The rule of the specification, but that a variable may also stand where a wider scalar is expected."""

    def leave_operation_definition(self, operation: OperationDefinitionNode, *_args: Any) -> None:
        """Report every variable of the operation that stands where it may not."""
        for usage in self.context.get_recursive_variable_usages(operation):
            definition = self.var_def_map.get(usage.node.name.value)
            if definition and usage.type:
                self._check(definition, usage)

    def _check(self, definition: VariableDefinitionNode, usage: VariableUsage) -> None:
        name, schema = usage.node.name.value, self.context.schema
        given, expected = type_from_ast(schema, definition.type), cast(GraphQLType, usage.type)
        if given and not allowed_variable_usage(
            schema, given, definition.default_value, _narrowed(expected, given), usage.default_value
        ):
            message = f"Variable '${name}' of type '{given}' used in position expecting type '{expected}'."
            self.report_error(GraphQLError(message, [definition, usage.node]))
        parent = usage.parent_type
        if (
            is_input_object_type(parent)
            and cast(GraphQLInputObjectType, parent).is_one_of
            and is_nullable_type(given)
        ):
            message = (
                f"Variable '${name}' is of type '{given}' but must be non-nullable to be used for OneOf"
                f" Input Object '{parent}'."
            )
            self.report_error(GraphQLError(message, [definition, usage.node]))


def _narrowed(expected: GraphQLType, given: GraphQLType) -> GraphQLType:
    """``expected`` with the leaf of ``given`` in the place of a scalar that is wider."""
    if is_non_null_type(expected):
        return GraphQLNonNull(cast(Any, _narrowed(cast(Any, expected).of_type, given)))
    if is_list_type(expected):
        return GraphQLList(_narrowed(cast(Any, expected).of_type, given))
    leaf = get_named_type(given)
    return leaf if cast(Any, expected).name in _WIDER.get(leaf.name, ()) else expected
