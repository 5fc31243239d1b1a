"""The execution plan of an operation for one combination of `@skip` and `@include` values."""

from __future__ import annotations

from typing import Any

from graphql import FieldNode, FragmentDefinitionNode, GraphQLObjectType, GraphQLSchema, OperationDefinitionNode
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from graphql.execution.execute import (
    CollectedErrors,
    ExecutionContext,
    default_field_resolver,
    default_type_resolver,
    get_field_def,
)

from afterwrite.graphql_http.compiled.fields import compile_field
from afterwrite.graphql_http.compiled.site import Fields, Site, never_awaitable


class Plan:
    """The closures of one operation, made on first use and shared by all threads.

    Two threads may compile the same selection at once; either result is valid.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: dict[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        root_type: GraphQLObjectType,
        conditions: dict[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._conditions = conditions
        self._selections: dict[tuple[Any, ...], Fields] = {}
        self.runtime_type = _checking_context(schema, fragments, operation).ensure_valid_runtime_type
        """The object type with a name; raises graphql-core's error if it is not one of the abstract type."""
        root_nodes = collect_fields(schema, fragments, conditions, root_type, operation.selection_set)
        self.root_fields = self._compile(root_type, root_nodes)

    def fields_of(self, object_type: GraphQLObjectType, nodes: list[FieldNode]) -> Fields:
        """The fields that `nodes`, merged, select on an object of `object_type`.

        Cached by node, so that fragments that spread each other in a diamond are compiled once, not once per path.
        """
        key = (object_type, *map(id, nodes))
        fields = self._selections.get(key)
        if fields is None:
            sub_nodes = collect_sub_fields(self._schema, self._fragments, self._conditions, object_type, nodes)
            fields = self._selections[key] = self._compile(object_type, sub_nodes)
        return fields

    def _compile(self, parent_type: GraphQLObjectType, selected: dict[str, list[FieldNode]]) -> Fields:
        fields: Fields = []
        for key, nodes in selected.items():
            field = get_field_def(self._schema, parent_type, nodes[0])
            if field:
                fields.append((key, compile_field(Site(key, nodes, field, parent_type), self)))
        return fields


def _checking_context(
    schema: GraphQLSchema, fragments: dict[str, FragmentDefinitionNode], operation: OperationDefinitionNode
) -> ExecutionContext:
    """A context that executes nothing; only its check of runtime types is used."""
    return ExecutionContext(
        schema,
        fragments,
        None,
        None,
        operation,
        {},
        default_field_resolver,
        default_type_resolver,
        default_field_resolver,
        CollectedErrors(),
        None,
        never_awaitable,
    )
