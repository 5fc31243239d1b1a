"""GraphQL fields whose resolvers get the request's context, and connections with their edges."""

from collections.abc import Callable
from typing import Any

import graphene

from afterwrite.graphql.scalars import PageInfo
from afterwrite.reads.connections import PAGE_DEFAULT, PAGE_MAX, Page
from afterwrite.service.context import answering


def resolver_of(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """The resolver of a field whose value is ``resolve(context, **arguments)``, with the errors of ``answering``."""

    @answering
    def resolver(_root: object, info: graphene.ResolveInfo, /, **arguments: Any) -> Any:
        return resolve(info.context, **arguments)

    return resolver


def field(
    node: Any, resolve: Callable[..., Any], description: str | None = None, /, *, required: bool = False, **given: Any
) -> Any:
    """The root field of a type with a function for ``resolver_of``; ``given`` are its arguments."""
    return graphene.Field(node, given, resolver_of(resolve), description=description, required=required)


def page_field(connection: Any, resolve: Callable[..., Page], description: str, /, **filters: Any) -> Any:
    """The field with a page of ``connection``: ``resolve(context, size, after, **filters)``."""

    def resolve_page(context: Any, first: int | None, after: str | None = None, **given: Any) -> Page:
        return resolve(context, PAGE_DEFAULT if first is None else first, after, **given)

    paging = {
        "first": graphene.Int(default_value=PAGE_DEFAULT, description=f"At most {PAGE_MAX}"),
        "after": graphene.String(),
    }
    return field(connection, resolve_page, description, required=True, **filters, **paging)


def event_field(node: Any, description: str, /, **arguments: Any) -> Any:
    """The field of a subscription whose events are its values."""
    return graphene.Field(node, arguments, lambda event, *_, **__: event, description=description, required=True)


def connection_of(node: Any, name: str, description: str, *, total: str = "") -> Any:
    """The connection ``{name}Connection`` of a node type; ``total`` describes its ``totalCount``, if it has one."""
    edge = type(
        f"{name}Edge",
        (graphene.ObjectType,),
        {
            "__doc__": "An item of a page and its cursor.",
            "cursor": graphene.String(required=True),
            "node": graphene.Field(node, required=True),
        },
    )
    fields = {
        "__doc__": description,
        "edges": graphene.List(graphene.NonNull(edge), required=True),
        "nodes": graphene.List(graphene.NonNull(node), required=True),
        "page_info": graphene.Field(PageInfo, required=True),
    }
    if total:
        fields["total_count"] = graphene.Int(required=True, description=total)
        fields["resolve_total_count"] = staticmethod(answering(_total_count))
    return type(f"{name}Connection", (graphene.ObjectType,), fields)


def _total_count(root: Page, _info: object) -> int | None:
    return root.count() if root.count else None
