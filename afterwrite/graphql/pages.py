"""Factory of GraphQL connection types, with their edges."""

from typing import Any

import graphene

from afterwrite.graphql.scalars import PageInfo
from afterwrite.reads.connections import Page
from afterwrite.service.context import answering


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
