"""Lets clients declare a variable as Int or String where the schema expects an ID, which takes both as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLID,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    ListTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    TypeInfo,
    ValidationContext,
    VariableDefinitionNode,
    get_named_type,
)
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage
from graphql.validation.validation_context import VariableUsage

_READ_AS_ID = ("Int", "String")


def read_as_ids(schema: GraphQLSchema, document: DocumentNode) -> None:
    """Declare as ID, in place, each Int or String variable that is used as an ID only.

    Its value is then coerced like any ID: a resolver gets text. A list stays a list, and nullability is checked as
    for an ID; a variable that fails the check keeps its type, so that validation names the type that was sent. So
    does one that is also used as something else. `document` must have no cycle of fragments.
    """
    context = ValidationContext(schema, document, TypeInfo(schema), _ignore)
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            candidates = [node for node in operation.variable_definitions if _is_candidate(node)]
            if candidates:
                _declare(schema, candidates, _usages(context, operation))


def _is_candidate(definition: VariableDefinitionNode) -> bool:
    return _unwrapped(definition)[0].name.value in _READ_AS_ID


def _usages(context: ValidationContext, operation: OperationDefinitionNode) -> Sequence[VariableUsage]:
    try:
        return context.get_recursive_variable_usages(operation)
    except GraphQLError:  # too much work with fragments: validation gives up at the same place and says so
        return ()


def _declare(
    schema: GraphQLSchema, candidates: Iterable[VariableDefinitionNode], usages: Sequence[VariableUsage]
) -> None:
    by_name: dict[str, list[VariableUsage]] = {}
    for usage in usages:
        by_name.setdefault(usage.node.name.value, []).append(usage)
    for definition in candidates:
        named, id_type = _unwrapped(definition)
        used = by_name.get(definition.variable.name.value)
        if used and all(_fits(schema, definition, id_type, usage) for usage in used):
            named.name = NameNode(value=GraphQLID.name, loc=named.name.loc)


def _fits(
    schema: GraphQLSchema, definition: VariableDefinitionNode, id_type: Any, usage: VariableUsage
) -> bool:
    if usage.type is None or get_named_type(usage.type) is not GraphQLID:
        return False
    default = definition.default_value
    return allowed_variable_usage(schema, id_type, default, usage.type, usage.default_value)


def _unwrapped(definition: VariableDefinitionNode) -> tuple[Any, Any]:
    """Returns the node of the type's name, and the type that an ID would make of the declaration."""
    wrappers, node = [], definition.type
    while isinstance(node, (ListTypeNode, NonNullTypeNode)):
        wrappers.append(GraphQLList if isinstance(node, ListTypeNode) else GraphQLNonNull)
        node = node.type
    id_type: Any = GraphQLID
    for wrap in reversed(wrappers):
        id_type = wrap(id_type)
    return node, id_type


def _ignore(_error: GraphQLError) -> None:
    """Validation itself comes afterwards, and reports."""
