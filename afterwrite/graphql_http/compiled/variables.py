"""Compiles the coercion of variables, with a fast path for values of the expected Python types."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple, cast

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableDefinitionNode,
    get_variable_values,
    is_input_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
)
from graphql.type.scalars import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    coerce_boolean,
    coerce_float,
    coerce_id,
    coerce_int,
    coerce_string,
)

from afterwrite.graphql_http.compiled.arguments import NeedsGraphQLCore, constant_of

Coerce = Callable[[dict[str, Any]], dict[str, Any] | list[GraphQLError]]
Convert = Callable[[Any], Any]
"""Coerces a value that is not null; raises `NeedsGraphQLCore` for all but plain values."""

MAX_ERRORS = 50  # graphql-core's own limit
EXACT_INT = 2**53  # integers up to here are equal as Int, as Float and as text


def compile_variables(schema: GraphQLSchema, operation: OperationDefinitionNode, hide_suggestions: bool) -> Coerce:
    """Returns the function from raw variables to coerced ones, or to graphql-core's errors."""
    definitions = operation.variable_definitions

    def coerce_slowly(raw: dict[str, Any]) -> dict[str, Any] | list[GraphQLError]:
        return get_variable_values(schema, definitions, raw, MAX_ERRORS, hide_suggestions)

    try:
        variables = [_variable(schema, definition) for definition in definitions]
    except NeedsGraphQLCore:
        return coerce_slowly

    def coerce(raw: dict[str, Any]) -> dict[str, Any] | list[GraphQLError]:
        try:
            return _coerce_plain(variables, raw)
        except (NeedsGraphQLCore, GraphQLError):
            return coerce_slowly(raw)

    return coerce


class _Slot(NamedTuple):
    """A variable, or a field of an input object; a value of the type ``plain`` stays as it is."""

    name: str
    out_name: str
    convert: Convert
    plain: type | None
    required: bool
    default: Any


def _coerce_plain(slots: list[_Slot], raw: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for name, out_name, convert, plain, required, default in slots:
        value = raw.get(name, Undefined)
        if type(value) is plain:
            values[out_name] = value
        elif value is not Undefined and value is not None:
            values[out_name] = convert(value)
        elif value is None:
            if required:
                raise NeedsGraphQLCore
            values[out_name] = None
        elif default is not Undefined:
            values[out_name] = default
        elif required:
            raise NeedsGraphQLCore
    return values


def _variable(schema: GraphQLSchema, definition: VariableDefinitionNode) -> _Slot:
    name = definition.variable.name.value
    input_type = type_from_ast(schema, definition.type)
    if not is_input_type(input_type):
        raise NeedsGraphQLCore
    input_type = cast(GraphQLInputType, input_type)
    default = Undefined
    if definition.default_value:
        default = constant_of(definition.default_value, input_type)
    convert = _converter(input_type, ())
    return _Slot(name, name, convert, _PLAIN.get(convert), is_non_null_type(input_type), default)


def _converter(input_type: Any, inside: tuple[str, ...]) -> Convert:
    """The converter for `input_type`, nested in the input objects named in `inside`."""
    inner = input_type.of_type if is_non_null_type(input_type) else input_type
    if is_list_type(inner):
        return _convert_list(inner, inside)
    if isinstance(inner, GraphQLInputObjectType):
        return _convert_object(inner, inside)
    if isinstance(inner, GraphQLEnumType):
        return _convert_enum(inner)
    return _convert_scalar(inner)


def _convert_list(list_type: GraphQLList[Any], inside: tuple[str, ...]) -> Convert:
    convert_item = _converter(list_type.of_type, inside)
    required = is_non_null_type(list_type.of_type)

    def convert(value: Any) -> Any:
        if type(value) is not list or (required and None in value):
            raise NeedsGraphQLCore
        return [None if item is None else convert_item(item) for item in value]

    return convert


def _convert_object(object_type: GraphQLInputObjectType, inside: tuple[str, ...]) -> Convert:
    name = object_type.name
    if name in inside or object_type.is_one_of:
        raise NeedsGraphQLCore  # a recursive type: graphql-core limits the depth of its values
    slots = []
    for key, field in object_type.fields.items():
        convert_field, required = _converter(field.type, (*inside, name)), is_non_null_type(field.type)
        plain = _PLAIN.get(convert_field)
        slots.append(_Slot(key, field.out_name or key, convert_field, plain, required, field.default_value))
    names = object_type.fields.keys()
    out_type = object_type.out_type

    def convert(value: Any) -> Any:
        if type(value) is not dict or not value.keys() <= names:
            raise NeedsGraphQLCore
        made = _coerce_plain(slots, value)
        return made if out_type is dict else out_type(made)

    return convert


def _convert_enum(enum_type: GraphQLEnumType) -> Convert:
    if type(enum_type).parse_value is not GraphQLEnumType.parse_value:
        raise NeedsGraphQLCore
    values = enum_type.values

    def convert(value: Any) -> Any:
        if type(value) is not str or value not in values:
            raise NeedsGraphQLCore
        return values[value].value

    return convert


def _convert_string(value: Any) -> Any:
    if type(value) is str:
        return value
    raise NeedsGraphQLCore


def _convert_id(value: Any) -> Any:
    if type(value) is str:
        return value
    if type(value) is int and -EXACT_INT <= value <= EXACT_INT:
        return str(value)
    raise NeedsGraphQLCore


def _convert_int(value: Any) -> Any:
    if type(value) is int and GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT:
        return value
    raise NeedsGraphQLCore


def _convert_float(value: Any) -> Any:
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int and -EXACT_INT <= value <= EXACT_INT:
        return float(value)
    raise NeedsGraphQLCore


def _convert_boolean(value: Any) -> Any:
    if type(value) is bool:
        return value
    raise NeedsGraphQLCore


def _convert_scalar(scalar: GraphQLScalarType) -> Convert:
    convert = _CONVERTERS.get(scalar.parse_value)
    if convert is None:
        raise NeedsGraphQLCore  # its parse_value may refuse the value: graphql-core turns that into an error
    return convert


_CONVERTERS: dict[Any, Convert] = {
    coerce_string: _convert_string,
    coerce_id: _convert_id,
    coerce_int: _convert_int,
    coerce_float: _convert_float,
    coerce_boolean: _convert_boolean,
}
_PLAIN: dict[Convert, type] = {_convert_string: str, _convert_id: str, _convert_boolean: bool}
