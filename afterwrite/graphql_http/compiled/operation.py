"""Executes a validated operation: with graphql-core, or compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionContext,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    VariableNode,
    execute_sync,
)

from afterwrite.graphql_http.compiled.plan import Plan
from afterwrite.graphql_http.compiled.site import Request, never_awaitable
from afterwrite.graphql_http.compiled.variables import compile_variables

MAX_PLANS = 16


class InterpretedOperation:
    """An operation of a document that has passed validation, executed by graphql-core; thread-safe.

    With `hide_suggestions`, errors of variables name no other fields.
    """

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
        self.document = DocumentNode(definitions=(operation, *fragments))

    def execute(self, root_value: Any, context_value: Any, raw_variables: dict[str, Any]) -> ExecutionResult:
        """Executes the operation and returns its data and errors; raises nothing.

        `raw_variables` are the uncoerced values of the request. Errors of fields, variables and resolvers are in the
        result, each with its path, locations and original error. Resolvers run in the calling thread, in document
        order, and must not return awaitables.
        """
        return execute_sync(
            self._schema,
            self.document,
            root_value,
            context_value,
            raw_variables,
            hide_suggestions=self._hide_suggestions,
        )


class CompiledOperation(InterpretedOperation):
    """A compiled operation; thread-safe. Cheap: the selections on an object are compiled for the first such object.

    The selections depend on the variables of `@skip` and `@include`, so there is one plan for each combination of their
    values, made on first use. graphql-core executes an operation without a plan.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        hide_suggestions: bool = False,
    ) -> None:
        super().__init__(schema, document, operation, hide_suggestions)
        self._operation = operation
        is_subscription = operation.operation is OperationType.SUBSCRIPTION
        self._root_type = None if is_subscription else schema.get_root_type(operation.operation)
        self._coerce = compile_variables(schema, operation, hide_suggestions)
        self._conditions = tuple(_condition_variables(operation, self._fragments))
        self._plans: dict[tuple[Any, ...], Plan] = {}

    def execute(self, root_value: Any, context_value: Any, raw_variables: dict[str, Any]) -> ExecutionResult:
        """Executes the operation with the same result as graphql-core's `execute`."""
        variables = self._coerce(raw_variables)
        if isinstance(variables, list):
            return ExecutionResult(None, variables)
        plan = self._plan(variables)
        if plan is None:
            return super().execute(root_value, context_value, raw_variables)
        tail = (self._schema, self._fragments, root_value, self._operation, variables, context_value, never_awaitable)
        request = Request(variables, tail)
        data: dict[str, Any] | None = {}
        try:
            for key, run in plan.root_fields:
                data[key] = run(root_value, None, request)  # type: ignore[index]
        except GraphQLError as error:
            data = None
            request.errors.append(error)
        return ExecutionContext.build_response(data, request.errors)

    def _plan(self, variables: dict[str, Any]) -> Plan | None:
        values = tuple([variables.get(name) for name in self._conditions])
        plan = self._plans.get(values)
        if plan is not None:
            return plan
        return self._new_plan(values)

    def _new_plan(self, values: tuple[Any, ...]) -> Plan | None:
        is_plain = all(value is True or value is False for value in values)
        if self._root_type is None or not is_plain or len(self._plans) >= MAX_PLANS:
            return None
        conditions = dict(zip(self._conditions, values, strict=True))
        try:
            plan = Plan(self._schema, self._fragments, self._operation, self._root_type, conditions)
        except (GraphQLError, RecursionError):
            return None  # graphql-core then reports the error
        return self._plans.setdefault(values, plan)


def _condition_variables(operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]) -> list[str]:
    """The names of the variables of `@skip` and `@include`, each once."""
    names: dict[str, None] = {}
    for selection in _reachable_selections(operation, fragments):
        for directive in selection.directives:
            if directive.name.value in ("skip", "include"):
                values = [argument.value for argument in directive.arguments]
                names.update((value.name.value, None) for value in values if isinstance(value, VariableNode))
    return list(names)


def _reachable_selections(
    operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> Iterator[SelectionNode]:
    visited: set[str] = set()
    waiting = [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            yield selection
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in fragments and name not in visited:
                    visited.add(name)
                    waiting.append(fragments[name].selection_set)
            elif not isinstance(selection, FieldNode) or selection.selection_set:
                waiting.append(selection.selection_set)  # type: ignore[attr-defined]
