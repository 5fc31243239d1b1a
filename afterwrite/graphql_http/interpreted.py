"""Executes a validated operation with graphql-core, which walks the syntax tree each time."""

from __future__ import annotations

from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
)


class InterpretedOperation:
    """An operation that graphql-core executes; thread-safe."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        hide_suggestions: bool = False,
    ) -> None:
        self._schema = schema
        self._hide_suggestions = hide_suggestions
        fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self._fragments = {node.name.value: node for node in fragments}
        self._document = DocumentNode(definitions=(operation, *fragments))

    def execute(self, root_value: Any, context_value: Any, raw_variables: dict[str, Any]) -> ExecutionResult:
        """Executes the operation and returns its data and errors; raises nothing.

        `raw_variables` are the uncoerced values of the request. Errors of fields, variables and resolvers are in the
        result, each with its path, locations and original error. Resolvers run in the calling thread, in document
        order, and must not return awaitables.
        """
        return execute_sync(
            self._schema,
            self._document,
            root_value,
            context_value,
            raw_variables,
            hide_suggestions=self._hide_suggestions,
        )
