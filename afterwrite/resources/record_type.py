"""Makes the record type of a resource: a named tuple of stored values with the declaration's members."""

import collections
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from afterwrite.base.times import from_microseconds
from afterwrite.resources.field import Field, FieldError, FieldProblem, checked_value
from afterwrite.resources.number_fields import Money
from afterwrite.resources.resource import Resource
from afterwrite.resources.value_fields import Boolean

if TYPE_CHECKING:
    from afterwrite.resources.compiled import CompiledResource


def record_type(resource: "CompiledResource") -> Any:
    """The named tuple of the stored values, with the members of the declaration as far as it does not have them."""
    make_row: Any = vars(collections)["namedtuple"]  # mypy wants constants as its arguments
    row = make_row(f"{resource.name}Row", resource.columns)
    members: dict[str, Any] = {
        "__doc__": resource.description,
        "__module__": resource.declaration.__module__,
        "created_at": _kept_time("created_at_us", "When its creation was accepted."),
        "updated_at": _kept_time("updated_at_us", "When its last applied write was accepted."),
        "search_text": property(resource.search_text, doc="The text that searches match."),
        "replace": _replace_function(resource),
    }
    for field in resource.fields.values():
        place = resource.columns.index(field.column)
        if isinstance(field, Boolean) or field.suffix:
            members[field.name] = _value_property(field, place)
        if isinstance(field, Money):
            members[f"{field.name}_float"] = _float_property(field, place)
    make: Any = type(resource.declaration)
    return make(resource.name, (row, resource.declaration), members)


def _kept_time(column: str, doc: str) -> property:
    return property(lambda record: from_microseconds(getattr(record, column)), doc=doc)


def _value_property(field: Field, place: int) -> property:
    def value(record: Sequence[Any]) -> Any:
        stored = record[place]
        return None if stored is None else field.value_of(stored)

    return property(value, doc=field.description)


def _float_property(field: Money, place: int) -> property:
    def value(record: Sequence[Any]) -> float | None:
        stored = record[place]
        return None if stored is None else stored / field.scale

    return property(value, doc="The amount in major units, as the nearest float.")


def _replace_function(resource: "CompiledResource") -> Callable[..., Any]:
    def replace(self: Any, **values: Any) -> Any:
        changes = {}
        for name, value in values.items():
            field = resource.fields.get(name)
            if field is None:
                raise FieldError(name, FieldProblem.UNKNOWN_FIELD, f"is no field of {resource.name}: remove it")
            if field.immutable:
                raise FieldError(name, FieldProblem.IMMUTABLE, "is set when the record is created: leave it out")
            changes[field.column] = checked_value(field, name, value)
        return self._replace(**changes)

    replace.__doc__ = Resource.replace.__doc__
    return replace
