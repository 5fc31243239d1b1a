"""The GraphQL root fields of the resources: queries and mutations of each, and ``node``."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import graphene

from afterwrite.base.text import camel_case
from afterwrite.graphql.fields import field
from afterwrite.graphql.receipts import Receipts
from afterwrite.graphql.relations import relate
from afterwrite.graphql.resource_mutations import mutations_of
from afterwrite.graphql.resource_pages import ResourcePages, search_argument
from afterwrite.graphql.resource_types import Node, ResourceTypes, node_place
from afterwrite.reads import pages
from afterwrite.reads.connections import PAGE_DEFAULT, PAGE_MAX, Page, parse_id
from afterwrite.resources.api_names import facet_name, facet_type
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.service.context import Context
from afterwrite.writes.requests import await_write

_AFTER_WRITE = "Wait until this write is settled"


def roots_of(resources: Mapping[str, CompiledResource]) -> tuple[type, type, type]:
    """The classes with the queries, mutations and subscriptions of the resources and of their writes."""
    if not resources:
        return object, object, object
    types = {name: ResourceTypes(resource) for name, resource in resources.items()}
    relate(types)
    receipts = Receipts({name: one.object for name, one in types.items()}, resources)
    queries, mutations = receipts.queries(), receipts.mutations()
    for one in types.values():
        queries |= _queries_of(one)
        mutations |= mutations_of(one, receipts)
    node_id = graphene.ID(required=True)
    queries["node"] = field(Node, _node, "The record with this node id", id=node_id, after_write=graphene.ID())
    return (
        type("ResourceQuery", (graphene.ObjectType,), queries),
        type("ResourceMutation", (graphene.ObjectType,), mutations),
        type("ResourceSubscription", (graphene.ObjectType,), receipts.subscriptions()),
    )


def _queries_of(types: ResourceTypes) -> dict[str, Any]:
    resource = types.resource
    noun, plural = resource.noun, resource.plural.replace("_", " ")
    searching, paged = search_argument(resource), ResourcePages(types)
    made: dict[str, Any] = {
        f"all_{resource.plural}": field(
            graphene.List(graphene.NonNull(types.object)),
            partial(_all_records, resource),
            f"{plural.capitalize()} by id",
            required=True,
            **searching,
            first=graphene.Int(default_value=PAGE_DEFAULT, description=f"At most {PAGE_MAX}"),
            skip=graphene.Int(default_value=0),
            after_write=graphene.ID(description=_AFTER_WRITE),
        ),
        resource.snake: field(
            types.object,
            partial(_record, resource),
            f"One {noun}, null if it does not exist",
            **{resource.id_name: graphene.ID(required=True)},
            after_write=graphene.ID(),
        ),
        resource.plural: field(
            types.connection,
            partial(_page, paged),
            f"A page of {plural}",
            required=True,
            **paged.arguments(),
            after_write=graphene.ID(),
        ),
    }
    for one in resource.fields.values():
        if one.facet:
            described = f"A value of {camel_case(one.name)} and how many {plural} have it."
            count = _count_type(facet_type(resource, one), described)
            made[facet_name(one)] = field(
                graphene.List(graphene.NonNull(count)), partial(_facet, resource.name, one.column), required=True
            )
    return made


def _count_type(name: str, description: str) -> Any:
    fields = {"__doc__": description, "name": graphene.String(required=True), "count": graphene.Int(required=True)}
    return type(name, (graphene.ObjectType,), fields)


def _all_records(
    resource: CompiledResource,
    context: Context,
    /,
    first: int | None,
    skip: int | None,
    search: str | None = None,
    after_write: str | None = None,
) -> list[Record]:
    await_write(context.queue, after_write, context.wait_seconds)
    size = PAGE_DEFAULT if first is None else first
    found = pages.all_records(context.records[resource.name], search, size, skip or 0)
    if resource.references:
        context.loader.expect_referred(resource, found)
    return found


def _record(
    resource: CompiledResource, context: Context, /, after_write: str | None = None, **given: str
) -> Record | None:
    await_write(context.queue, after_write, context.wait_seconds)
    return context.records[resource.name].get(parse_id(camel_case(resource.id_name), given[resource.id_name]))


def _page(paged: ResourcePages, context: Context, /, after_write: str | None = None, **given: Any) -> Page:
    await_write(context.queue, after_write, context.wait_seconds)
    return paged.page(context, given)


def _facet(name: str, column: str, context: Context, /) -> list[dict[str, Any]]:
    return [{"name": value, "count": count} for value, count in context.records[name].facet(column)]


def _node(context: Context, /, id: str, after_write: str | None = None) -> Record | None:  # noqa: A002
    await_write(context.queue, after_write, context.wait_seconds)
    place = node_place(id)
    return None if place is None else context.loader.get(*place)
