"""Accepts variables declared as Int or String where the schema expects ID or BigInt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLType,
    ListTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    ValidationContext,
    VariableDefinitionNode,
    get_named_type,
)
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage
from graphql.validation.validation_context import VariableUsage

from afterwrite.graphql_http.validation import FastContext

# By expected scalar: the declared types whose values it all accepts.
_DECLARED_FOR = {"ID": frozenset({"Int", "String"}), "BigInt": frozenset({"Int"})}
_CANDIDATES = frozenset[str]().union(*_DECLARED_FOR.values())


def read_as_wider_scalars(schema: GraphQLSchema, document: DocumentNode) -> None:
    """Redeclare, in place, each Int or String variable that is used only as ID or as BigInt.

    Its value is then coerced as that scalar: a resolver gets an ID as text. A list stays a list, and nullability is
    checked as for the scalar. A variable that fails the check, or is also used as another type, keeps its type, so that
    validation names the declared one. `document` must have no fragment cycle.
    """
    # Validation runs later and reports errors.
    context = FastContext(schema, document, lambda _error: None)
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            candidates = [node for node in operation.variable_definitions if _name_node(node).name.value in _CANDIDATES]
            if candidates:
                _declare(schema, candidates, _usages(context, operation))


def _usages(context: ValidationContext, operation: OperationDefinitionNode) -> Sequence[VariableUsage]:
    try:
        return context.get_recursive_variable_usages(operation)
    except GraphQLError:  # too many fragments: validation aborts at the same point and reports it
        return ()


def _declare(
    schema: GraphQLSchema, candidates: Iterable[VariableDefinitionNode], usages: Sequence[VariableUsage]
) -> None:
    by_name: dict[str, list[VariableUsage]] = {}
    for usage in usages:
        by_name.setdefault(usage.node.name.value, []).append(usage)
    for definition in candidates:
        used = by_name.get(definition.variable.name.value, ())
        expected = {get_named_type(usage.type) for usage in used if usage.type}
        if len(expected) == 1 and all(_fits(schema, definition, usage) for usage in used):
            node = _name_node(definition)
            node.name = NameNode(value=expected.pop().name, loc=node.name.loc)


def _fits(schema: GraphQLSchema, definition: VariableDefinitionNode, usage: VariableUsage) -> bool:
    if usage.type is None:
        return False
    expected: GraphQLType = usage.type
    scalar = get_named_type(expected)
    if _name_node(definition).name.value not in _DECLARED_FOR.get(scalar.name, ()):
        return False
    declared, default = _declared_as(scalar, definition.type), definition.default_value
    return allowed_variable_usage(schema, declared, default, expected, usage.default_value)


def _name_node(definition: VariableDefinitionNode) -> Any:
    node: Any = definition.type
    while isinstance(node, (ListTypeNode, NonNullTypeNode)):
        node = node.type
    return node


def _declared_as(scalar: GraphQLNamedType, node: Any) -> Any:
    """Returns the type of a declaration with its named type replaced by `scalar`."""
    if isinstance(node, ListTypeNode):
        return GraphQLList(_declared_as(scalar, node.type))
    if isinstance(node, NonNullTypeNode):
        return GraphQLNonNull(_declared_as(scalar, node.type))
    return scalar
