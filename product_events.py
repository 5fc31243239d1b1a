"""Declares the GraphQL subscriptions of products: receipts as they are settled."""

from collections.abc import Iterator
from typing import Any

import graphene

from connections import parse_id
from graphql_http import KEEP_ALIVE, RequestError
from product_pages import Receipt, Shelf
from product_types import Write
from request_context import Context, reading

_KEEP_ALIVE_SECONDS = 5.0


class Subscription(graphene.ObjectType):
    """Events, as they happen."""

    write_settled = graphene.Field(
        Write, required=True, id=graphene.ID(required=True), description="The receipt, once it is settled"
    )

    @staticmethod
    @reading
    def subscribe_write_settled(_root: None, info: graphene.ResolveInfo, id: str) -> Iterator[Any]:  # noqa: A002
        """Check now, so that a wrong id is an answer and not a broken stream; then wait."""
        write_id = parse_id("id", id)
        if info.context.queue.find(write_id) is None:
            raise RequestError(f"id is {id!r}: there is no such write")
        return _until_settled(info.context, write_id)

    @staticmethod
    def resolve_write_settled(root: Receipt, _info: object, **_arguments: Any) -> Receipt:
        return root


def _until_settled(context: Context, write_id: int) -> Iterator[Any]:
    while (settled := context.queue.wait(write_id, _KEEP_ALIVE_SECONDS, counted=False)) is None:
        if context.queue.stop_announced:
            raise RequestError("The server is stopping: watch this write again shortly", code="SHUTTING_DOWN")
        yield KEEP_ALIVE
    yield Receipt(settled, Shelf(context, [settled]))
