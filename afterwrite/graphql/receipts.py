"""GraphQL types, queries, mutations and subscriptions of receipts (``Write``) and of the write queue."""

from collections.abc import AsyncIterator, Collection, Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import graphene
from graphene.types.resolver import dict_or_attr_resolver

from afterwrite.graphql.fields import connection_of, event_field, field, page_field, resolver_of
from afterwrite.graphql.resource_types import RecordInterface, add_type
from afterwrite.graphql_http import KEEP_ALIVE, RequestError
from afterwrite.reads.connections import Page, parse_id
from afterwrite.resources import first_version
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.write import Write as StoredWrite
from afterwrite.resources.write import WriteFilter, WriteStatus
from afterwrite.service.context import Context, answering, events_answered
from afterwrite.writes import requests
from afterwrite.writes.queue import QueueState
from afterwrite.writes.request_checks import PROBLEM_CODES

KEEP_ALIVE_SECONDS = 15.0
ONE_RECEIPT = "The receipt; null if nothing was accepted"

StatusEnum = graphene.Enum.from_enum(WriteStatus, name="WriteStatus")
QueueStateEnum = graphene.Enum.from_enum(QueueState, name="QueueState")
_OTHER = "OTHER"  # what another version of the application declared


class Queue(graphene.ObjectType):
    """The queue of accepted writes; totals count since the database was created."""

    depth = graphene.Int(required=True, description="Waiting writes")
    size_bytes = graphene.Float(name="bytes", required=True, description="Size of the waiting writes")
    oldest_age_ms = graphene.Float(required=True, description="Age of the oldest waiting write")
    applied_total = graphene.Float(required=True)
    failed_total = graphene.Float(required=True)
    writes_per_second = graphene.Float(required=True, description="Settled writes, average of the last ten seconds")
    state = QueueStateEnum(required=True)


class Key:
    """The argument that makes a retry safe."""

    idempotency_key = graphene.String(
        description="Makes a retry safe: the same key and arguments give the same receipt"
    )


class Receipts:
    """The type ``Write`` with its queries, mutation and subscription, and the fields of every mutation's payload.

    ``answered`` are the fields of every payload, ``one`` and ``many`` those with one receipt or one for each record.
    """

    def __init__(self, types: Mapping[str, Any], resources: Mapping[str, CompiledResource]) -> None:
        """``types`` are the object types of the resources by name."""
        self._resources = resources
        self._codes = _error_codes(resources)
        user_error = _user_error_type(resources)
        self.type = self._write_type(types)
        add_type(StoredWrite, self.type)
        self.answered = {
            "success": graphene.Boolean(required=True, description="True only if the write is on disk"),
            "message": graphene.String(required=True),
            "errors": graphene.List(graphene.NonNull(user_error), required=True),
        }
        self.one = {"write": graphene.Field(self.type, description=ONE_RECEIPT)}
        receipts = graphene.List(graphene.NonNull(self.type), required=True, description="One receipt for each record")
        self.many = {"writes": receipts}

    def queries(self) -> dict[str, Any]:
        """The queries ``write``, ``writes`` and ``queue``."""
        filters: dict[str, Any] = {
            "status": StatusEnum(),
            "resource": graphene.String(description="The type of the records, such as " + next(iter(self._resources))),
            "record_id": graphene.ID(description="Of a record of this resource"),
            "by": graphene.String(description="The name of the caller's key"),
        }
        if first_version.RESOURCE in self._resources:
            filters["product_id"] = graphene.ID()
        page = connection_of(self.type, "Write", "A page of receipts, newest first.")
        return {
            "write": field(self.type, _find_write, "The receipt of a write", id=graphene.ID(required=True)),
            "writes": page_field(page, self._receipts_page, "Receipts, newest first", **filters),
            "queue": field(Queue, lambda context: context.queue.status(), required=True),
        }

    def mutations(self) -> dict[str, Any]:
        """The mutation ``retryWrite``."""
        members = {
            "__doc__": "Retry a FAILED write as a new write that refers to the old one.",
            "Arguments": type("Arguments", (Key,), {"id": graphene.ID(required=True)}),
            "mutate": resolver_of(_retry),
            **self.answered,
            **self.one,
        }
        made: Any = type("RetryWrite", (graphene.Mutation,), members)
        return {"retry_write": made.Field(required=True)}

    def subscriptions(self) -> dict[str, Any]:
        """The subscription ``writeSettled``."""
        event = event_field(self.type, "The receipt, once it is settled", id=graphene.ID(required=True))
        return {"write_settled": event, "subscribe_write_settled": resolver_of(_settled)}

    def _write_type(self, types: Mapping[str, Any]) -> Any:
        operations = ["CREATE", "UPDATE", "DELETE", "UPSERT"]
        operations += [code for resource in self._resources.values() for code in resource.operations]
        error = _error_type(self._codes)
        members: dict[str, Any] = {
            "__doc__": "The receipt of an accepted write.",
            "id": graphene.ID(required=True),
            "resource": graphene.String(required=True, description="The type of its record"),
            "operation": _enum_of("WriteOperation", [*operations, _OTHER])(required=True),
            "resolve_operation": staticmethod(partial(_known_operation, frozenset(operations))),
            "status": StatusEnum(required=True),
            "record_id": graphene.ID(
                required=True, description="Known at once, even for a create; that of an upsert once it is applied"
            ),
            "record": graphene.Field(
                RecordInterface, description="The current record; null if it does not exist", resolver=_record_of
            ),
            "if_version": graphene.Int(description="The version that the record had to have"),
            "error": graphene.Field(error),
            "accepted_at": graphene.DateTime(required=True),
            "accepted_by": graphene.String(description="The name of the caller's key; null without one"),
            "settled_at": graphene.DateTime(),
            "retry_of": graphene.ID(description="The FAILED write that this one retries"),
        }
        if first_version.RESOURCE in types:
            read = partial(dict_or_attr_resolver, "record_id", None)
            members["product_id"] = graphene.Field(
                graphene.ID, required=True, resolver=read, description="The record id, whatever the resource is"
            )
            members["product"] = graphene.Field(
                types[first_version.RESOURCE],
                description="The current product; null if it does not exist",
                resolver=_product_of,
            )
        return type("Write", (graphene.ObjectType,), members)

    def _receipts_page(
        self,
        context: Context,
        size: int,
        after: str | None,
        status: WriteStatus | None = None,
        resource: str | None = None,
        record_id: str | None = None,
        product_id: str | None = None,
        by: str | None = None,
    ) -> Page:
        if product_id is not None:
            if resource not in (None, first_version.RESOURCE) or record_id is not None:
                raise RequestError("productId is given with another record: give productId, or resource and recordId")
            resource, record_id = first_version.RESOURCE, product_id
        name = "recordId" if product_id is None else "productId"
        number = None if record_id is None else parse_id(name, record_id)
        if resource is not None and resource not in self._resources:
            known = ", ".join(self._resources)
            raise RequestError(f"resource is {resource[:60]!r}: give one of {known}", field="resource")
        if number is not None and resource is None:
            raise RequestError("recordId is given without its resource: give both", field="recordId")
        page = requests.receipts_page(context.queue, WriteFilter(status, resource, number, by), size, after)
        context.receipts(page.nodes)
        return page


def _error_codes(resources: Mapping[str, CompiledResource]) -> dict[str, str]:
    """Every code of a failed write with its description."""
    codes = {
        "CONSTRAINT_VIOLATED": "A limit of a field, or the database, refused it",
        "NOT_UNIQUE": "Another record has the value of a unique field",
        "OPERATION_FAILED": "The operation has an error; the log and the message say which",
        "REFERENCED": "Other records refer to it",
        "REFERENCE_NOT_FOUND": "It refers to a record that does not exist",
        "UNREADABLE": "This version cannot read it",
        "VERSION_CONFLICT": "The record had another version than ifVersion",
    }
    for resource in resources.values():
        codes |= {resource.not_found: f"There was no such {resource.noun}", resource.exists: "Its id was taken"}
        codes |= dict.fromkeys(resource.rejections, f"{resource.name} rejected it")
    return codes | {_OTHER: "A code that this version does not declare"}


def _error_type(codes: Mapping[str, str]) -> Any:
    members = {
        "__doc__": "The reason why a write FAILED.",
        "code": _enum_of("WriteErrorCode", codes)(required=True),
        "resolve_code": staticmethod(lambda error, _info: error.code if error.code in codes else _OTHER),
        "message": graphene.String(required=True),
    }
    return type("WriteError", (graphene.ObjectType,), members)


def _user_error_type(resources: Mapping[str, CompiledResource]) -> Any:
    codes = list(PROBLEM_CODES)
    codes += [code for resource in resources.values() for code in resource.rule_rejections]
    members = {
        "__doc__": "A problem that the client can correct.",
        "field": graphene.List(graphene.NonNull(graphene.String), description="The path of the argument"),
        "message": graphene.String(required=True),
        "code": _enum_of("UserErrorCode", codes)(required=True),
    }
    return type("UserError", (graphene.ObjectType,), members)


def _enum_of(name: str, values: Collection[str]) -> Any:
    """An enum whose values are texts; a mapping describes each of them."""
    described = values if isinstance(values, Mapping) else {}
    enum = StrEnum(name, {value: value for value in values})  # type: ignore[misc]
    return graphene.Enum.from_enum(enum, description=lambda one: None if one is None else described.get(one.value))


def _known_operation(known: Collection[str], write: StoredWrite, _info: object) -> str:
    return write.operation if write.operation in known else _OTHER


@answering
def _record_of(write: StoredWrite, info: graphene.ResolveInfo) -> Record | None:
    context: Context = info.context
    return context.loader.get(write.resource, write.record_id)


def _product_of(write: StoredWrite, info: graphene.ResolveInfo) -> Record | None:
    return _record_of(write, info) if write.resource == first_version.RESOURCE else None


def _find_write(context: Context, id: str) -> StoredWrite | None:  # noqa: A002
    return context.queue.find(parse_id("id", id))


def _retry(context: Context, id: str, idempotency_key: str | None = None) -> requests.Answer:  # noqa: A002
    return requests.answer_of(
        lambda: requests.retry(context.queue, id, idempotency_key, context.by), f"Write {id} queued again"
    )


def _settled(context: Context, id: str) -> AsyncIterator[Any]:  # noqa: A002
    """Check first, so that a wrong id gets an error and not a broken stream; then wait."""
    write_id = parse_id("id", id)
    if context.queue.find(write_id) is None:
        raise RequestError(f"id is {id!r}: there is no such write")
    return events_answered(_until_settled(context, write_id))


async def _until_settled(context: Context, write_id: int) -> AsyncIterator[Any]:
    while (settled := await context.queue.watch(write_id, KEEP_ALIVE_SECONDS)) is None:
        if context.queue.stop_announced:
            raise RequestError("The server is stopping: subscribe to this write again", code="SHUTTING_DOWN")
        yield KEEP_ALIVE
    yield settled
