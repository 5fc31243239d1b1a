"""The cost of a valid operation: the fields that its resolvers may have to answer, page sizes multiplied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInt,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)
from graphql.execution.execute import get_field_def

# The page size arguments of Relay's connections.
PAGE_ARGUMENTS = ("first", "last")


@dataclass(frozen=True, slots=True)
class PageVariable:
    """A page size that a variable of the request sets."""

    name: str
    fallback: int

    def size(self, variables: Mapping[str, Any]) -> int:
        return _page_size(variables.get(self.name, self.fallback), self.fallback)


@dataclass(frozen=True, slots=True)
class Cost:
    """A page size, times a number of fields plus the costs that are only known per request."""

    fields: int
    parts: tuple[Cost, ...] = ()
    fixed_size: int = 1
    asked_sizes: tuple[PageVariable, ...] = ()

    def of(self, variables: Mapping[str, Any]) -> int:
        """Returns the cost of a request with these raw variables."""
        total, size = self.fields, self.fixed_size
        for part in self.parts:
            total += part.of(variables)
        # The larger of `first` and `last` counts: a resolver uses one of them.
        for page in self.asked_sizes:
            size = max(size, page.size(variables))
        return total * size


class CostCounter:
    """Computes the `Cost` of operations of one valid document."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], assumed_page_size: int
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._assumed = assumed_page_size

    def count(self, operation: OperationDefinitionNode) -> Cost:
        """Returns the cost of `operation`: one for each field, times the page sizes above it and its own.

        A list without `first` or `last` counts as one item: the schema decides its length, not the client.
        `@skip` and `@include` are ignored. Recursion is bounded by the depth limit.
        """
        root = self._schema.get_root_type(operation.operation)
        defaults = {node.variable.name.value: node.default_value for node in operation.variable_definitions or ()}
        fields, parts = self._below(root, operation.selection_set, defaults)
        return Cost(fields, tuple(parts))

    def _below(
        self, parent: Any, selection_set: SelectionSetNode, defaults: Mapping[str, ValueNode | None]
    ) -> tuple[int, list[Cost]]:
        fields, parts = 0, []
        for owner, node in self._fields(parent, selection_set):
            definition = get_field_def(self._schema, owner, node)
            below, below_parts = 0, list[Cost]()
            if node.selection_set is not None:
                below_type = get_named_type(definition.type)
                below, below_parts = self._below(below_type, node.selection_set, defaults)
            fixed_size, asked_sizes = self._page(definition, node, defaults)
            if below_parts or asked_sizes:
                parts.append(Cost(1 + below, tuple(below_parts), fixed_size, asked_sizes))
            else:
                fields += (1 + below) * fixed_size
        return fields, parts

    def _fields(
        self, parent: GraphQLNamedType, selection_set: SelectionSetNode
    ) -> Iterator[tuple[GraphQLObjectType, FieldNode]]:
        stack: list[tuple[Any, SelectionSetNode]] = [(parent, selection_set)]
        while stack:
            owner, current = stack.pop()
            for node in current.selections:
                if isinstance(node, FieldNode):
                    yield owner, node
                    continue
                fragment: Any = node
                if isinstance(node, FragmentSpreadNode):
                    fragment = self._fragments[node.name.value]
                condition = fragment.type_condition
                inner = self._schema.get_type(condition.name.value) if condition else owner
                stack.append((inner, fragment.selection_set))

    def _page(
        self, definition: GraphQLField, node: FieldNode, defaults: Mapping[str, ValueNode | None]
    ) -> tuple[int, tuple[PageVariable, ...]]:
        arguments = {name: definition.args[name] for name in PAGE_ARGUMENTS if name in definition.args}
        names = [name for name, argument in arguments.items() if get_named_type(argument.type) is GraphQLInt]
        if not names:
            return 1, ()
        given = {argument.name.value: argument.value for argument in node.arguments}
        schema_sizes = {name: _page_size(arguments[name].default_value, 0) for name in names}
        unasked = max(schema_sizes.values()) or self._assumed
        variables, fixed = [], 0
        for name, schema_size in schema_sizes.items():
            value = given.get(name)
            if value is None:
                fixed = max(fixed, schema_size)
            elif isinstance(value, VariableNode):
                default = defaults.get(value.name.value)
                fallback = int(default.value) if isinstance(default, IntValueNode) else unasked
                variables.append(PageVariable(value.name.value, max(1, fallback)))
            elif isinstance(value, IntValueNode):
                fixed = max(fixed, 1, int(value.value))
        if variables:
            return max(1, fixed), tuple(variables)
        return fixed or unasked, ()


def _page_size(value: Any, fallback: int) -> int:
    """Returns the page size of `value`; coercion refuses values that are not an Int."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return max(1, int(value))
    return fallback
