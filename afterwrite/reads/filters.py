"""The filters and orders of a resource's pages, as arguments name them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from afterwrite.base.text import camel_case, composed
from afterwrite.graphql_http import RequestError
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field, FieldError
from afterwrite.resources.text_fields import Text
from afterwrite.storage.records import Condition, RecordFilter, RecordOrder, orders_of


class Filter(NamedTuple):
    """A filter of pages: its field, and the comparison of a ``Condition``."""

    field: Field
    comparison: str

    @property
    def takes_many(self) -> bool:
        """Whether its value is a list."""
        return self.comparison == "in"


def filters_of(resource: CompiledResource) -> dict[str, Filter]:
    """The filters of a resource by argument: ``x`` and ``x_in``, ``min_x`` and ``max_x``."""
    found: dict[str, Filter] = {}
    for name, field in resource.fields.items():
        if "equal" in field.filters:
            found[name] = Filter(field, "equal")
        if "in" in field.filters:
            found[f"{name}_in"] = Filter(field, "in")
        if "range" in field.filters:
            found |= {f"min_{name}": Filter(field, "minimum"), f"max_{name}": Filter(field, "maximum")}
    return found


def record_filter(filters: Mapping[str, Filter], search: str | None, given: Mapping[str, Any]) -> RecordFilter:
    """The filter of the given arguments, None matching everything. Raises RequestError for an impossible value."""
    conditions = (
        Condition(filter.field.column, filter.comparison, _stored(filter, camel_case(name), given[name]))
        for name, filter in filters.items()  # noqa: A001 - the word of declarations
        if given.get(name) is not None
    )
    return RecordFilter(search or "", tuple(conditions))


def referring_to(wanted: RecordFilter, column: str, record_id: int) -> RecordFilter:
    """The filter, for records only that refer to a record in this column."""
    return RecordFilter(wanted.search, (*wanted.conditions, Condition(column, "equal", record_id)))


def order_names(resource: CompiledResource) -> Sequence[str]:
    """The names of a resource's orders."""
    return list(orders_of(resource))


def order_of(resource: CompiledResource, name: str) -> RecordOrder:
    """The order of a name."""
    return orders_of(resource)[name]


def stored_bound(field: Field, name: str, value: Any) -> Any:
    """The stored form of a filter's value; ``name`` is the argument. Raises RequestError."""
    try:
        return field.check(name, value)
    except FieldError as error:
        raise RequestError(str(error), field=name) from error


def _stored(wanted: Filter, name: str, value: Any) -> Any:
    if wanted.takes_many:
        return tuple(_stored(Filter(wanted.field, "equal"), name, one) for one in value)
    if isinstance(wanted.field, Text):  # a text that is too long matches nothing
        return composed(value)
    return stored_bound(wanted.field, name, value)
