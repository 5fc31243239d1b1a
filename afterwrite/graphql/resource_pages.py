"""The GraphQL connection of a resource: its arguments and its pages."""

from collections.abc import Mapping
from typing import Any

import graphene

from afterwrite.base.text import camel_case
from afterwrite.graphql.resource_types import ResourceTypes
from afterwrite.reads import pages
from afterwrite.reads.connections import PAGE_MAX, Page
from afterwrite.reads.filters import filters_of, order_of, record_filter, referring_to
from afterwrite.resources.compiled import CompiledResource
from afterwrite.service.context import Context


def search_argument(resource: CompiledResource) -> dict[str, Any]:
    """The argument ``search``, if anything is searched."""
    if not resource.searched:
        return {}
    found = " or ".join(camel_case(resource.of_column[column].name) for column in resource.searched)
    return {"search": graphene.String(description=f"Substring of {found}, in any case")}


class ResourcePages:
    """The pages of a resource, or those of its records that refer to one with ``reference``, a column."""

    def __init__(self, types: ResourceTypes, reference: str = "") -> None:
        self.types, self._reference = types, reference
        found = filters_of(types.resource)
        self._filters = {name: one for name, one in found.items() if one.field.column != reference}

    def arguments(self) -> dict[str, Any]:
        """The arguments of the field."""
        words = self.types.resource.plural.replace("_", " ").capitalize()
        return {
            **search_argument(self.types.resource),
            **self.types.filter_arguments(self._filters),
            "order_by": graphene.Argument(self.types.order, default_value=self.types.first_order),
            "first": graphene.Int(description=f"{words} after a cursor: 0 to {PAGE_MAX}"),
            "after": graphene.String(),
            "last": graphene.Int(description=f"{words} before a cursor: 0 to {PAGE_MAX}"),
            "before": graphene.String(),
        }

    def page(self, context: Context, given: Mapping[str, Any], record_id: int = 0) -> Page:
        """The page for these arguments, of records that refer to ``record_id``. Raises RequestError."""
        resource = self.types.resource
        wanted = record_filter(self._filters, given.get("search"), given)
        if self._reference:
            wanted = referring_to(wanted, self._reference, record_id)
        named = given.get("order_by")
        order = order_of(resource, str(self.types.first_order if named is None else named))
        place = (given.get(name) for name in ("first", "after", "last", "before"))
        page = pages.records_page(context.records[resource.name], wanted, order, *place)
        if resource.references:
            context.loader.expect_referred(resource, page.nodes)
        return page
