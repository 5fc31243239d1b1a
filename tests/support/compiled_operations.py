"""Generates random operations over any schema, with the variables to run them: a hypothesis strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    Undefined,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.utilities import do_types_overlap
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

LITERALS = {
    "Int": ["0", "7", "-3"],
    "Float": ["1.5", "2", "-0.25"],
    "String": ['""', '"ada"', '"""block"""'],
    "Boolean": ["true", "false"],
    "ID": ['"id"', "12"],
    "JSON": ["{a: [1, null]}", "[1]", '"j"', "3"],
}
RAW: dict[str, list[Any]] = {
    "Int": [0, 7, -3, 2.0],
    "Float": [1.5, 2, -0.25],
    "String": ["", "ada"],
    "Boolean": [True, False],
    "ID": ["id", 12, 3.0],
    "JSON": [{"a": [1, None]}, [1], "j", 3],
}
WRONG = [None, "wrong", 2**40, 1.25, float("inf"), True, [], [None], ["x", 5], {}, {"x": "y"}, {"zzz": 1}]


class Case(NamedTuple):
    """A document with one operation, and sets of raw variables to execute it with."""

    source: str
    variables: list[dict[str, Any]]


class Writer:
    """Writes one operation at random, depth first, remembering the variables and fragments that it uses."""

    def __init__(self, schema: GraphQLSchema, draw: Draw) -> None:
        self.schema = schema
        self.draw = draw
        self.variables: dict[str, tuple[Any, str]] = {}
        self.fragments: dict[str, tuple[GraphQLNamedType, str]] = {}
        self.arguments: dict[tuple[str, str], str] = {}

    def operation(self) -> str:
        """The text of the whole document."""
        kind = self.choose(["query", "query", "mutation", "query", "subscription"])
        root = getattr(self.schema, f"{kind}_type") or self.schema.query_type
        kind = kind if getattr(self.schema, f"{kind}_type") else "query"
        selections = self.selection_set(root, 4)
        head = ", ".join(f"${name}: {declared}" for name, (_type, declared) in self.variables.items())
        fragments = [f"fragment {name} on {type_} {text}" for name, (type_, text) in self.fragments.items()]
        return "\n".join([f"{kind} Op{f'({head})' if head else ''} {selections}", *fragments])

    def choose(self, options: list[Any]) -> Any:
        """One of `options`."""
        return self.draw(st.sampled_from(options))

    def chance(self, percent: int) -> bool:
        """True about `percent` times in a hundred; shrinks to False."""
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def selection_set(self, parent: Any, depth: int) -> str:
        """Some selections on `parent`, in braces."""
        return "{ " + " ".join(self.selection(parent, depth) for _ in range(self.choose([1, 2, 3, 4, 5]))) + " }"

    def selection(self, parent: Any, depth: int) -> str:
        """A field, an inline fragment or a spread."""
        kind = self.choose(["field"] * 7 + ["inline", "spread"])
        fields = [
            (name, field)
            for name, field in getattr(parent, "fields", {}).items()
            if depth > 0 or not is_composite_type(get_named_type(field.type))
        ]
        if kind == "inline" and depth > 0:
            condition = self.choose([None, parent, *self.overlapping(parent)])
            on = f" on {condition}" if condition else ""
            return f"...{on}{self.directives()} {self.selection_set(condition or parent, depth - 1)}"
        if kind == "spread" and depth > 0:
            return f"...{self.fragment(parent, depth - 1)}{self.directives()}"
        if not fields or self.chance(5):
            return f"{self.choose(['', 't: '])}__typename{self.directives()}"
        name, field = self.choose(fields)
        return self.field(name, field, depth)

    def field(self, name: str, field: Any, depth: int) -> str:
        """A field with its alias, arguments, directives and selections."""
        alias = self.choose(["", "", f"{name}2", f"{name}3"])
        arguments = self.arguments.get((name, alias))
        if arguments is None:
            given = [
                f"{key}: {self.value(argument.type, 3)}"
                for key, argument in field.args.items()
                if is_required_argument(argument) or self.chance(50)
            ]
            arguments = self.arguments[name, alias] = f"({', '.join(given)})" if given else ""
        text = f"{alias}: {name}" if alias else name
        named = get_named_type(field.type)
        selections = f" {self.selection_set(named, depth - 1)}" if is_composite_type(named) else ""
        return f"{text}{arguments}{self.directives()}{selections}"

    def overlapping(self, parent: Any) -> list[Any]:
        """The types on which a fragment inside of `parent` may be."""
        types = [type_ for type_ in self.schema.type_map.values() if is_composite_type(type_)]
        return [type_ for type_ in types if do_types_overlap(self.schema, type_, parent)]  # type: ignore[arg-type]

    def fragment(self, parent: Any, depth: int) -> str:
        """The name of a fragment for `parent`: one that is there, or a new one."""
        there = [
            name
            for name, (type_, text) in self.fragments.items()
            if text and do_types_overlap(self.schema, type_, parent)  # type: ignore[arg-type]
        ]
        if there and self.chance(60):
            return str(self.choose(there))
        name = f"F{len(self.fragments)}"
        on = self.choose(self.overlapping(parent))
        self.fragments[name] = (on, "")
        self.fragments[name] = (on, self.selection_set(on, depth))
        return name

    def directives(self) -> str:
        """Mostly nothing; else @skip and @include with a literal or a variable."""
        text = ""
        for name in ("skip", "include"):
            if self.chance(8):
                text += f" @{name}(if: {self.choose(['true', 'false', *['$on', '$off', '$maybe'] * 2])})"
        for variable, declared in (("on", "Boolean!"), ("off", "Boolean!"), ("maybe", "Boolean = true")):
            if f"${variable}" in text:
                self.variables[variable] = (self.schema.type_map["Boolean"], declared)
        return text

    def value(self, input_type: Any, depth: int) -> str:
        """A literal of `input_type`, or a variable."""
        if self.chance(40):
            return self.variable(input_type)
        if not is_non_null_type(input_type) and self.chance(10):
            return "null"
        inner = input_type.of_type if is_non_null_type(input_type) else input_type
        if is_list_type(inner):
            count = self.choose([0, 1, 1, 2])
            return f"[{', '.join(self.value(inner.of_type, depth - 1) for _ in range(count))}]"
        if isinstance(inner, GraphQLInputObjectType):
            return self.object_value(inner, depth)
        if isinstance(inner, GraphQLEnumType):
            return str(self.choose(list(inner.values)))
        return str(self.choose(LITERALS[inner.name]))

    def object_value(self, input_type: GraphQLInputObjectType, depth: int) -> str:
        """An input object literal."""
        fields = list(input_type.fields.items())
        if input_type.is_one_of:
            return '{name: "one"}'
        given = [
            f"{name}: {self.value(field.type, depth - 1)}"
            for name, field in fields
            if is_required_input_field(field) or (depth > 0 and self.chance(40))
        ]
        return "{" + ", ".join(given) + "}"

    def variable(self, input_type: Any) -> str:
        """A variable that may stand where `input_type` is wanted."""
        name = f"v{len(self.variables)}"
        declared = str(input_type)
        if get_named_type(input_type).name == "ID":
            declared = declared.replace("ID", self.choose(["ID", "ID", "Int", "String"]))
        if not is_non_null_type(input_type) and self.chance(20):
            declared += "!"
        same = [key for key, (_type, text) in self.variables.items() if text == declared]
        if same and self.chance(40):
            return f"${self.choose(same)}"
        inner = get_named_type(input_type)
        if not declared.endswith("!") and declared.isalpha() and inner.name in LITERALS and self.chance(40):
            declared += f" = {self.choose([*LITERALS[inner.name], 'null'])}"
        self.variables[name] = (input_type, declared)
        return f"${name}"

    def raw_variables(self) -> dict[str, Any]:
        """Values for the variables, most of them fitting."""
        values = {name: self.raw(type_, declared) for name, (type_, declared) in self.variables.items()}
        return {name: value for name, value in values.items() if value is not Undefined}

    def raw(self, input_type: Any, declared: str) -> Any:
        """A JSON value for a variable, or Undefined for none."""
        if self.chance(4):
            return self.choose(WRONG)
        if not declared.endswith("!") and self.chance(25):
            return self.choose([None, Undefined])
        is_wrapped = is_non_null_type(input_type) or not declared.endswith("!")
        return self.fitting(input_type if is_wrapped else GraphQLNonNull(input_type), 3)

    def fitting(self, input_type: Any, depth: int) -> Any:
        """A JSON value that fits `input_type`, almost always."""
        if self.chance(2):
            return self.choose(WRONG)
        if is_non_null_type(input_type):
            input_type = input_type.of_type
        elif self.chance(10):
            return None
        if is_list_type(input_type):
            if self.chance(10):
                return self.fitting(input_type.of_type, depth - 1)
            return [self.fitting(input_type.of_type, depth - 1) for _ in range(self.choose([0, 1, 2]))]
        if isinstance(input_type, GraphQLInputObjectType):
            return {
                name: self.fitting(field.type, depth - 1)
                for name, field in input_type.fields.items()
                if is_required_input_field(field) or (depth > 0 and self.chance(40))
            }
        if isinstance(input_type, GraphQLEnumType):
            return self.choose(list(input_type.values))
        return self.choose(RAW[input_type.name])


@st.composite
def operations(draw: Draw, schema: GraphQLSchema) -> Case:
    """Operations on `schema`, nearly all of them valid, each with three sets of variables."""
    writer = Writer(schema, draw)
    source = writer.operation()
    return Case(source, [writer.raw_variables() for _ in range(3)])
