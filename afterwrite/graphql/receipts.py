"""GraphQL types, queries, mutations and subscriptions of receipts (``Write``) and of the write queue."""

from collections.abc import Iterator
from typing import Any

import graphene

from afterwrite.graphql.fields import connection_of, event_field, field, page_field, resolver_of
from afterwrite.graphql_http import KEEP_ALIVE, RequestError
from afterwrite.reads.connections import Page, parse_id
from afterwrite.resources.product import Product
from afterwrite.resources.write import Operation, WriteErrorCode, WriteFilter, WriteStatus
from afterwrite.resources.write import Write as StoredWrite
from afterwrite.service.context import Context, answering
from afterwrite.writes import requests
from afterwrite.writes.queue import QueueState

_KEEP_ALIVE_SECONDS = 5.0
ONE_RECEIPT = "The receipt; null if nothing was accepted"

OperationEnum = graphene.Enum.from_enum(Operation, name="WriteOperation")
StatusEnum = graphene.Enum.from_enum(WriteStatus, name="WriteStatus")
WriteErrorEnum = graphene.Enum.from_enum(WriteErrorCode, name="WriteErrorCode")
QueueStateEnum = graphene.Enum.from_enum(QueueState, name="QueueState")
UserErrorEnum = graphene.Enum("UserErrorCode", list(requests.PROBLEM_CODES.items()))


class WriteError(graphene.ObjectType):
    """The reason why a write FAILED."""

    code = WriteErrorEnum(required=True)
    message = graphene.String(required=True)


class UserError(graphene.ObjectType):
    """A problem that the client can correct."""

    field = graphene.List(graphene.NonNull(graphene.String), description="The path of the argument")
    message = graphene.String(required=True)
    code = UserErrorEnum(required=True)


class Queue(graphene.ObjectType):
    """The queue of accepted writes; totals count since the database was created."""

    depth = graphene.Int(required=True, description="Waiting writes")
    size_bytes = graphene.Float(name="bytes", required=True, description="Size of the waiting writes")
    oldest_age_ms = graphene.Float(required=True, description="Age of the oldest waiting write")
    applied_total = graphene.Float(required=True)
    failed_total = graphene.Float(required=True)
    writes_per_second = graphene.Float(required=True, description="Settled writes, average of the last ten seconds")
    state = QueueStateEnum(required=True)


class Answered:
    """The fields of every mutation's payload."""

    success = graphene.Boolean(required=True, description="True only if the write is on disk")
    message = graphene.String(required=True)
    errors = graphene.List(graphene.NonNull(UserError), required=True)


class Key:
    """The argument that makes a retry safe."""

    idempotency_key = graphene.String(
        description="Makes a retry safe: the same key and arguments give the same receipt"
    )


def write_type_of(record_type: Any) -> Any:
    """The type ``Write``, whose field ``product`` has the type ``record_type``."""

    class Write(graphene.ObjectType):
        """The receipt of an accepted write."""

        id = graphene.ID(required=True)
        operation = OperationEnum(required=True)
        status = StatusEnum(required=True)
        product_id = graphene.ID(required=True, description="Known at once, even for a create")
        product = graphene.Field(record_type, description="The current product; null if it does not exist")
        error = graphene.Field(WriteError)
        accepted_at = graphene.DateTime(required=True)
        accepted_by = graphene.String(description="The name of the caller's key; null without one")
        settled_at = graphene.DateTime()
        retry_of = graphene.ID(description="The FAILED write that this one retries")

        @staticmethod
        @answering
        def resolve_product(root: StoredWrite, info: graphene.ResolveInfo) -> Product | None:
            context: Context = info.context
            return context.loader.get(root.product_id)

    return Write


def query_of(write_type: Any) -> Any:
    """The queries ``write``, ``writes`` and ``queue``."""

    class Query(graphene.ObjectType):
        write = field(write_type, _find_write, "The receipt of a write", id=graphene.ID(required=True))
        writes = page_field(
            connection_of(write_type, "Write", "A page of receipts, newest first."),
            _receipts_page,
            "Receipts, newest first",
            status=StatusEnum(),
            product_id=graphene.ID(),
            by=graphene.String(description="The name of the caller's key"),
        )
        queue = field(Queue, lambda context: context.queue.status(), required=True)

    return Query


def _find_write(context: Context, id: str) -> StoredWrite | None:  # noqa: A002
    return context.queue.find(parse_id("id", id))


def _receipts_page(
    context: Context,
    size: int,
    after: str | None,
    status: WriteStatus | None = None,
    product_id: str | None = None,
    by: str | None = None,
) -> Page:
    product = None if product_id is None else parse_id("productId", product_id)
    page = requests.receipts_page(context.queue, WriteFilter(status, product, by), size, after)
    context.receipts(page.nodes)
    return page


def mutation_of(write_type: Any) -> Any:
    """The mutation ``retryWrite``."""

    class RetryWrite(Answered, graphene.Mutation):
        """Retry a FAILED write as a new write that refers to the old one."""

        class Arguments(Key):
            id = graphene.ID(required=True)

        write = graphene.Field(write_type, description=ONE_RECEIPT)
        mutate = resolver_of(_retry)

    class Mutation(graphene.ObjectType):
        retry_write = RetryWrite.Field(required=True)

    return Mutation


def _retry(context: Context, id: str, idempotency_key: str | None = None) -> requests.Answer:  # noqa: A002
    return requests.answer_of(
        lambda: requests.retry(context.queue, id, idempotency_key, context.by), f"Write {id} queued again"
    )


def subscription_of(write_type: Any) -> Any:
    """The subscription ``writeSettled``."""

    class Subscription(graphene.ObjectType):
        write_settled = event_field(write_type, "The receipt, once it is settled", id=graphene.ID(required=True))
        subscribe_write_settled = resolver_of(_settled)

    return Subscription


def _settled(context: Context, id: str) -> Iterator[Any]:  # noqa: A002
    """Check first, so that a wrong id gets an error and not a broken stream; then wait."""
    write_id = parse_id("id", id)
    if context.queue.find(write_id) is None:
        raise RequestError(f"id is {id!r}: there is no such write")
    return _until_settled(context, write_id)


def _until_settled(context: Context, write_id: int) -> Iterator[Any]:
    while (settled := context.queue.wait(write_id, _KEEP_ALIVE_SECONDS, counted=False)) is None:
        if context.queue.stop_announced:
            raise RequestError("The server is stopping: subscribe to this write again", code="SHUTTING_DOWN")
        yield KEEP_ALIVE
    yield settled
