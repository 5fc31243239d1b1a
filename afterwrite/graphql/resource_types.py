"""The GraphQL types of a resource: its object type with connection, its inputs, and the types of single values."""

import base64
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cached_property, partial
from typing import Any

import graphene
from graphene.types.resolver import dict_or_attr_resolver

from afterwrite.base.text import camel_case
from afterwrite.graphql.fields import connection_of
from afterwrite.graphql.scalars import JSON, BigInt
from afterwrite.reads.connections import id_or_none
from afterwrite.reads.filters import Filter, order_names
from afterwrite.resources import number_fields, text_fields, value_fields
from afterwrite.resources.api_names import pascal_case
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.field import Field
from afterwrite.resources.reference_field import Reference
from afterwrite.resources.registry import compiled
from afterwrite.resources.resource import Resource
from afterwrite.resources.write import Write
from afterwrite.service.context import Context

_SCALARS: Mapping[type[Field], Any] = {
    text_fields.Text: graphene.String,
    text_fields.Url: graphene.String,
    text_fields.Email: graphene.String,
    number_fields.Integer: graphene.Int,
    number_fields.Number: graphene.Float,
    number_fields.Money: graphene.Float,
    value_fields.Boolean: graphene.Boolean,
    value_fields.Date: graphene.Date,
    value_fields.DateTime: graphene.DateTime,
    value_fields.Json: JSON,
    value_fields.Exact: graphene.Decimal,
    Reference: graphene.ID,
}

# Graphene's own values set every field once more, as an attribute.
_PLAIN_INPUT = type("Meta", (), {"container": dict})


# The object types of the newest schema by the types of their values, from which an interface finds the type of a value.
_TYPE_OF: dict[Any, Any] = {}


class Node(graphene.Interface):
    """An object that has an id of its own among all types, as Relay wants it."""

    node_id = graphene.ID(required=True, description="The argument of `node` with which it is found again")

    @classmethod
    def resolve_type(cls, record: Record, _info: object) -> Any:
        """The type of the record's resource."""
        return _TYPE_OF[type(record)]


class RecordInterface(graphene.Interface):
    """A record of any resource."""

    class Meta:
        """Its name in the schema."""

        name = "Record"

    id = graphene.ID(required=True, description="Unique among the records of its resource")
    created_at = graphene.DateTime(required=True, description="When its creation was accepted")
    updated_at = graphene.DateTime(required=True, description="When the last applied write was accepted")
    version = graphene.Int(required=True, description="Rises by one with each applied update")

    @classmethod
    def resolve_type(cls, record: Record, _info: object) -> Any:
        """The type of the record's resource."""
        return _TYPE_OF[type(record)]


def graphql_type(declared: type[Resource] | type[Write]) -> Callable[[], Any]:
    """The GraphQL type of a resource or of receipts, for the fields of an application's own.

    ``graphene.Field(graphql_type(Stock))`` has a record as its value, ``graphene.Field(graphql_type(Write))`` a receipt
    of ``async_db``. Graphene looks it up when the schema is built; TypeError is raised then for a resource that the
    application does not declare.
    """

    def of_the_schema() -> Any:
        found = _TYPE_OF.get(compiled(declared).record if issubclass(declared, Resource) else declared)
        if found is None:
            raise TypeError(f"graphql_type({declared.__name__}): add it to the resources of the application")
        return found

    return of_the_schema


def add_type(value: type, made: Any) -> None:
    """Make the type of such values known to ``graphql_type`` and to interfaces."""
    _TYPE_OF[value] = made


class ResourceTypes:
    """The types of one resource."""

    def __init__(self, resource: CompiledResource) -> None:
        self.resource = resource
        self._enums: dict[str, Any] = {}
        self.relations: dict[str, Any] = {}
        orders = StrEnum(f"{resource.name}Order", {name: name for name in order_names(resource)})  # type: ignore[misc]
        self.order = graphene.Enum.from_enum(orders, description=_described_as("The orders; ties are ordered by id."))
        self.first_order = orders["ID_ASC"]

    @cached_property
    def object(self) -> Any:
        """The type of a record."""
        made = self._object()
        add_type(self.resource.record, made)
        return made

    @cached_property
    def connection(self) -> Any:
        """The type of a page."""
        total = f"{_plural(self.resource)} that match the filters"
        described = f"A page of {_plural(self.resource, low=True)}."
        return connection_of(self.object, self.resource.name, described, total=total)

    @property
    def input(self) -> Any:
        """The input of one new record among several."""
        doc = f"The fields of {self.resource.article} {self.resource.noun} to create."
        members = {"__doc__": doc, "Meta": _PLAIN_INPUT, **self.new_arguments()}
        return type(f"{self.resource.name}Input", (graphene.InputObjectType,), members)

    def change_input(self, more: Mapping[str, Any]) -> Any:
        """The input of one update among several; ``more`` are its fields that are none of the record."""
        doc = f"An update of {self.resource.article} {self.resource.noun}: the fields to change."
        members = {"__doc__": doc, "Meta": _PLAIN_INPUT, **self.change_arguments(), **more}
        return type(f"{self.resource.name}Change", (graphene.InputObjectType,), members)

    def new_arguments(self) -> dict[str, Any]:
        """The arguments of a creation."""
        return {
            name: self.argument(field, required=field.required and field.default is None)
            for name, field in self.resource.fields.items()
        }

    def change_arguments(self) -> dict[str, Any]:
        """The arguments of an update."""
        return {name: self.argument(field) for name, field in self.resource.fields.items() if not field.immutable}

    def argument(self, field: Field, *, required: bool = False, owner: str = "") -> Any:
        """The argument for a value of the field, or of an operation called ``owner``."""
        described = field.hint or field.help
        if field.default is not None:
            described = f"{described}; the default is {field.default}".removeprefix("; ")
        return self.type_of(field, owner)(required=required, description=described or None)

    def filter_arguments(self, filters: Mapping[str, Filter]) -> dict[str, Any]:
        """The arguments of the connection for its filters."""
        types = ((name, self.type_of(one.field), one.takes_many) for name, one in filters.items())
        return {name: graphene.List(graphene.NonNull(kind)) if many else kind() for name, kind, many in types}

    def type_of(self, field: Field, owner: str = "") -> Any:
        """The GraphQL type of the field's values; the enum of an operation's argument has its name too."""
        if isinstance(field, text_fields.Choice):
            name = f"{self.resource.name}{pascal_case(owner)}{pascal_case(field.name)}"
            if name not in self._enums:
                values = StrEnum(name, {choice: choice for choice in field.choices})  # type: ignore[misc]
                described = _described_as(field.help or f"A value of {camel_case(field.name)}.")
                self._enums[name] = graphene.Enum.from_enum(values, description=described)
            return self._enums[name]
        if isinstance(field, number_fields.Integer) and field.is_big:
            return BigInt
        return next(_SCALARS[kind] for kind in type(field).__mro__ if kind in _SCALARS)

    def _object(self) -> Any:
        resource = self.resource
        members: dict[str, Any] = {
            "__doc__": resource.description,
            "Meta": type("Meta", (), {"interfaces": (RecordInterface, Node)}),
            "resolve_node_id": staticmethod(lambda record, _info: node_id_of(resource, record.id)),
        }
        for name, field in resource.fields.items():
            members[name] = self._field(field)
        for name, derived in resource.derived.items():
            members[name] = self.type_of(derived.kind)(description=(derived.__doc__ or "").strip() or None)
        members |= self.relations
        return type(resource.name, (graphene.ObjectType,), members)

    def _field(self, field: Field) -> Any:
        given = {"required": field.required, "description": field.description or None}
        if isinstance(field, text_fields.Url):
            return graphene.Field(self.type_of(field), resolver=partial(_absolute_url, field.name), **given)
        if isinstance(field, number_fields.Money):
            read = partial(dict_or_attr_resolver, f"{field.name}_float", None)
            return graphene.Field(self.type_of(field), resolver=read, **given)
        return self.type_of(field)(**given)


def node_id_of(resource: CompiledResource, record_id: int) -> str:
    """The id of a record among all types."""
    return base64.urlsafe_b64encode(f"{resource.name}:{record_id}".encode()).decode()


def node_place(node_id: str) -> tuple[str, int] | None:
    """The resource and the id in a node id, None for any other text."""
    try:
        name, _, number = base64.urlsafe_b64decode(node_id).decode().partition(":")
    except ValueError:
        return None
    record_id = id_or_none(number)
    return None if record_id is None else (name, record_id)


def _absolute_url(name: str, record: Record, info: graphene.ResolveInfo) -> str | None:
    context: Context = info.context
    return context.absolute(getattr(record, name))


def _described_as(text: str) -> Any:
    """The description of an enum type; its values have none."""
    return lambda value: text if value is None else None


def _plural(resource: CompiledResource, *, low: bool = False) -> str:
    words = resource.plural.replace("_", " ")
    return words if low else words[0].upper() + words[1:]
