"""Compiles the arguments of a field: literals are coerced once, variables are looked up per call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputType,
    GraphQLScalarType,
    NullValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_argument_values,
    is_input_object_type,
    is_non_null_type,
    is_specified_scalar_type,
    value_from_ast,
)

Evaluate = Callable[[dict[str, Any]], dict[str, Any]]


class NeedsGraphQLCore(Exception):
    """The value is wrong or not of the plainest form: graphql-core must coerce or refuse it."""


class _Step(NamedTuple):
    out_name: str
    variable: str | None
    value: Any  # the constant, or the default for an absent variable
    required: bool


def compile_arguments(field: GraphQLField, node: FieldNode) -> dict[str, Any] | Evaluate:
    """Returns the arguments of `node` if they are constant, else a function of the variables.

    The function raises graphql-core's error for variables that do not fit. Calls share only immutable constants; each
    call gets its own list, input object or custom scalar.
    """

    def evaluate_slowly(variables: dict[str, Any]) -> dict[str, Any]:
        return get_argument_values(field, node, variables)

    nodes = {argument.name.value: argument.value for argument in node.arguments}
    steps: list[_Step] = []
    for name, argument in field.args.items():
        try:
            step = _step(name, argument, nodes.get(name))
        except NeedsGraphQLCore:
            return evaluate_slowly
        if step is not None:
            steps.append(step)
    if all(step.variable is None for step in steps):
        return {step.out_name: step.value for step in steps}
    return _evaluate(steps, evaluate_slowly)


def _step(name: str, argument: GraphQLArgument, node: ValueNode | None) -> _Step | None:
    out_name = argument.out_name or name
    required = is_non_null_type(argument.type)
    if isinstance(node, VariableNode):
        return _Step(out_name, node.name.value, _default(argument), required)
    if node is not None:
        return _Step(out_name, None, constant_of(node, argument.type), required)
    default = _default(argument)
    if default is not Undefined:
        return _Step(out_name, None, default, required)
    if required:
        raise NeedsGraphQLCore
    return None


def _default(argument: GraphQLArgument) -> Any:
    if argument.default_value is not Undefined and is_input_object_type(argument.type):
        raise NeedsGraphQLCore
    return argument.default_value


def _evaluate(steps: list[_Step], evaluate_slowly: Evaluate) -> Evaluate:
    def evaluate(variables: dict[str, Any]) -> dict[str, Any]:
        arguments = {}
        for out_name, variable, value, required in steps:
            if variable is None:
                arguments[out_name] = value
            elif variable in variables:
                given = variables[variable]
                if given is Undefined or (given is None and required):
                    return evaluate_slowly(variables)
                arguments[out_name] = given
            elif value is not Undefined:
                arguments[out_name] = value
            elif required:
                return evaluate_slowly(variables)
        return arguments

    return evaluate


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
