"""The GraphQL fields between resources: what a record refers to, and the records that refer to it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import graphene

from afterwrite.base.text import camel_case
from afterwrite.graphql.resource_pages import ResourcePages
from afterwrite.graphql.resource_types import ResourceTypes
from afterwrite.reads.connections import Page
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.reference_field import Reference
from afterwrite.service.context import Context, answering


def relate(types: Mapping[str, ResourceTypes]) -> None:
    """Give every object type its relations; before any of these types is used."""
    for one in types.values():
        for reference in one.resource.references:
            target = types[reference.target]
            one.relations[reference.relation] = _forward(target, one.resource, reference)
            target.relations[reference.reverse or one.resource.plural] = _backward(one, target.resource, reference)


def _forward(target: ResourceTypes, resource: CompiledResource, reference: Reference) -> Any:
    noun = target.resource.noun
    read = partial(_referred, camel_case(target.resource.snake), reference.target, reference.column)
    described = f"The {noun} that the {resource.noun} refers to"
    return graphene.Field(lambda: target.object, resolver=answering(read), description=described)


def _referred(query: str, target: str, column: str, record: Record, info: graphene.ResolveInfo) -> Record | None:
    context: Context = info.context
    record_id = getattr(record, column)
    if record_id is None:
        return None
    context.permit(query)
    return context.loader.get(target, record_id)


def _backward(one: ResourceTypes, target: CompiledResource, reference: Reference) -> Any:
    pages = ResourcePages(one, reference.column)
    words = one.resource.plural.replace("_", " ")
    return graphene.Field(
        lambda: one.connection,
        pages.arguments(),
        resolver=answering(partial(_referring, camel_case(one.resource.plural), pages)),
        description=f"The {words} that refer to the {target.noun}",
        required=True,
    )


def _referring(query: str, pages: ResourcePages, record: Record, info: graphene.ResolveInfo, **given: Any) -> Page:
    context: Context = info.context
    context.permit(query)
    return pages.page(context, given, record.id)
